"""Kubernetes manifests: of the schema, and of one another's names, ports and numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from server.config import parse

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("base", "tls", "gpu")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
KUBERNETES = "1.31"


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def of_base():
    names = read(MANIFESTS / "base" / "kustomization.yaml")["resources"]
    assert len(list((MANIFESTS / "base").glob("*.yaml"))) == len(names) + 1
    objects = [read(MANIFESTS / "base" / name) for name in names]
    return {item["kind"]: item for item in objects}


BASE = of_base()


def container(objects):
    [only] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def config_of(objects):
    """The server's options in a pod: the image's, then the ConfigMap's."""
    image = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    return parse([], dict(re.findall(r"(IMAGE2POEM_\w+)=(\S+)", image)) | objects["ConfigMap"]["data"])


@pytest.mark.parametrize("kind", BASE)
def test_each_object_is_of_the_schema(kind):
    kubernetes_validate.validate(BASE[kind], KUBERNETES, strict=True)


def test_the_schema_would_notice_a_mistake():
    wrong = yaml.safe_load(yaml.safe_dump(BASE["PodDisruptionBudget"]))
    wrong["spec"]["maxUnavailables"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, for its kustomize")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_build_and_are_of_the_schema(overlay):
    built = subprocess.run(
        ["kubectl", "kustomize", str(MANIFESTS / overlay)], capture_output=True, text=True, check=True
    )
    objects = {item["kind"]: item for item in yaml.safe_load_all(built.stdout)}
    assert set(objects) == set(BASE)
    for item in objects.values():
        kubernetes_validate.validate(item, KUBERNETES, strict=True)
    config = config_of(objects)
    assert config.production
    assert (config.tls_certificate is None) == (overlay != "tls")
    if overlay == "tls":
        mounts = [mount["mountPath"] for mount in container(objects)["volumeMounts"]]
        assert str(config.tls_certificate.parent) in mounts
        assert all("exec" in container(objects)[probe] for probe in PROBES)


def test_everything_means_the_same_pods():
    [(name, value)] = BASE["Deployment"]["spec"]["selector"]["matchLabels"].items()
    labels = BASE["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels[name] == value
    assert BASE["Service"]["spec"]["selector"] == {name: value}
    assert BASE["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == {name: value}
    assert BASE["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == {name: value}
    target = BASE["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", BASE["Deployment"]["metadata"]["name"])


def test_the_service_is_headless_and_its_port_is_the_servers():
    assert BASE["Service"]["spec"]["clusterIP"] == "None"
    ports = {port["name"]: port["containerPort"] for port in container(BASE)["ports"]}
    config = config_of(BASE)
    assert config.listen == f"0.0.0.0:{ports['grpc']}"
    assert config.metrics == f"0.0.0.0:{ports['metrics']}"
    assert BASE["Service"]["spec"]["ports"][0]["targetPort"] == "grpc"
    annotations = BASE["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])


def test_probes_ask_the_health_service():
    config = config_of(BASE)
    for probe in PROBES:
        assert f"0.0.0.0:{container(BASE)[probe]['grpc']['port']}" == config.listen
    assert container(BASE)["readinessProbe"]["grpc"]["service"] == "image2poem.v1.PoemService"
    liveness = container(BASE)["livenessProbe"]
    # A server that may still recover, or end itself, is not killed.
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > config.stall_exit


def test_a_pod_gets_the_time_that_draining_takes():
    config = config_of(BASE)
    spec = BASE["Deployment"]["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] >= config.drain_wait + config.grace + 5


def test_the_pod_has_no_rights_that_it_does_not_need():
    spec = BASE["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] == 10001
    assert not spec["automountServiceAccountToken"]
    rights = container(BASE)["securityContext"]
    assert rights["readOnlyRootFilesystem"]
    assert not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"]["drop"] == ["ALL"]


def test_scaling_leaves_a_server_while_another_goes():
    assert BASE["HorizontalPodAutoscaler"]["spec"]["minReplicas"] >= 2
    assert BASE["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert "replicas" not in BASE["Deployment"]["spec"]
