"""Images and compose files: linted, of the schema, and their steps taken as far as they go without Docker.

With IMAGE2POEM_TEST_IMAGE=1 the packages are installed too, into an environment made for that (minutes, and a
package index).
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose

from image2poem import Client, Finished
from server.config import parse

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
IMAGES = ("Dockerfile", "Dockerfile.gpu")
COMPOSED = ("compose.yaml", "compose.gpu.yaml")


def instructions(name):
    """(instruction, its text) of each stage, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / name).read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


def environment_of(stage):
    return {
        name: value
        for word, text in stage
        if word == "ENV"
        for name, value in (pair.split("=", 1) for pair in shlex.split(text))
    }


def copies(stage):
    for word, text in stage:
        if word == "COPY" and not text.startswith("--from"):
            *sources, destination = text.split()
            yield from ((source, destination) for source in sources)


def context_has(name):
    """Whether .dockerignore lets a file or folder into the build; the last line that fits counts."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            parts = Path(name).parts
            ancestors = ["/".join(parts[: n + 1]) for n in range(len(parts))]
            inner = pattern.removeprefix("**/")
            if any(fnmatch.fnmatch(path, pattern) for path in ancestors) or (
                inner != pattern and any(fnmatch.fnmatch(part, inner) for part in parts)
            ):
                ignored = not line.startswith("!")
    return not ignored


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_has_nothing_to_say(name):
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([linter, "--format", "json", DEPLOY / name], capture_output=True, text=True)
    assert (found.returncode, json.loads(found.stdout)) == (0, [])


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_pinned_unprivileged_and_watched(name):
    build, final = instructions(name)
    for _, base in (build[0], final[0]):
        assert re.search(r":\d+\.\d+\.\d+-", base), base
    words = [word for word, _ in final]
    assert dict(final)["USER"] == "10001:10001"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert "deploy/health.py" in dict(final)["HEALTHCHECK"]
    assert json.loads(dict(final)["ENTRYPOINT"]) == ["python", "-m", "server"]
    config = parse(["--plaintext"], environment_of(final))
    assert config.production
    assert dict(final)["EXPOSE"].split() == [
        config.listen.rpartition(":")[2],
        config.metrics.rpartition(":")[2],
    ]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_serves_nothing_in_the_clear_unless_told(name):
    with pytest.raises(SystemExit):
        parse([], environment_of(instructions(name)[1]))


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_copied_is_there_and_let_through(name):
    for stage in instructions(name):
        for source, _ in copies(stage):
            assert (ROOT / source).exists(), source
            assert context_has(source), source
    for name in ("models/training", "clients/node", ".venv", ".git", "tests", "models/__pycache__"):
        assert not context_has(name), name
    assert context_has("models/bundles/t5/manifest.json")


def test_the_extras_that_images_install_are_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = declared["project"]["optional-dependencies"]
    for name in IMAGES:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        [asked] = re.findall(r'"\.\[([\w,-]+)\]"', text)
        assert set(asked.split(",")) <= set(extras)
    pinned = dict(re.findall(r"^([\w.-]+)==(.+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M))
    names = {re.match(r"[\w.-]+", need).group() for need in extras["gpu"]}
    left_out = re.search(r"grep -viE '\^\((.+)\)=='", (DEPLOY / "Dockerfile.gpu").read_text()).group(1)
    # Pins that contradict the extra's own, or name another wheel of the same library.
    assert set(left_out.split("|")) == {"faiss-cpu", "onnxruntime"} <= set(pinned)
    assert {"faiss-gpu", "onnxruntime-gpu"} <= names


def laid_out(stage, folder):
    """The files of an image's last stage, as its COPY instructions and .dockerignore lay them out."""
    for source, destination in copies(stage):
        target = folder / destination
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=left_out)
        else:
            target = target / source if destination.endswith("/") else target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)


def left_out(folder, names):
    return [name for name in names if not context_has(str((Path(folder) / name).relative_to(ROOT)))]


def test_the_steps_of_the_image_end_in_a_healthy_server(tmp_path):
    build, final = instructions("Dockerfile")
    app, index = tmp_path / "app", tmp_path / "index"
    laid_out(final, app)
    assert not (app / "models" / "training").exists()
    keywords = app / "index_builder" / "data" / "keywords.tsv"
    some = keywords.read_text(encoding="utf-8").splitlines(keepends=True)[:60]
    keywords.write_text("".join(some), encoding="utf-8")
    python, path = sys.executable, [str(ROOT / "clients")]
    if os.environ.get("IMAGE2POEM_TEST_IMAGE"):
        python, path = installed(build, tmp_path), []
    environment = {**os.environ, **environment_of(final), "PATH": os.environ["PATH"]}
    environment |= {
        "PYTHONPATH": os.pathsep.join(path),
        "IMAGE2POEM_INDEX": str(index),
        "IMAGE2POEM_LISTEN": "127.0.0.1:0",
        "IMAGE2POEM_METRICS": "127.0.0.1:0",
        # Production refuses root, which tests may run as; the image has its own user.
        "IMAGE2POEM_PRODUCTION": "0" if os.geteuid() == 0 else "1",
    }
    [built] = [text for word, text in final if word == "RUN" and "index_builder" in text]
    command = [str(index) if part == "/index" else part for part in shlex.split(built)]
    subprocess.run([python, *command[1:]], cwd=app, env=environment, check=True, capture_output=True)

    server = subprocess.Popen(
        [python, *json.loads(dict(final)["ENTRYPOINT"])[1:]],
        cwd=app, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        address = json.loads(server.stdout.readline())["address"]
        check = json.loads(dict(final)["HEALTHCHECK"].partition("CMD ")[2])[1:]
        healthy = [python, *check, "--target", address]
        asked = subprocess.run(healthy, cwd=app, env=environment, capture_output=True, text=True)
        assert (asked.returncode, asked.stdout) == (0, "SERVING\n"), asked.stderr
        with Client(address, timeout=60) as client:
            assert isinstance(list(client.compose(keywords=["明月"], seed=1))[-1], Finished)
        server.send_signal(getattr(signal, dict(final)["STOPSIGNAL"]))
        assert server.wait(30) == 0
        asked = subprocess.run(healthy, cwd=app, env=environment, capture_output=True, text=True)
        assert (asked.returncode, asked.stdout) == (1, "")
    finally:
        server.kill()
        server.communicate()


def installed(build, folder):
    """A Python with what the first stage installs, made by the stage's own commands."""
    place, venv = folder / "src", folder / "venv"
    place.mkdir()
    environment = {**os.environ, **environment_of(build), "PATH": f"{venv}/bin:{os.environ['PATH']}"}
    for word, text in build:
        if word == "COPY":
            laid_out([(word, text)], place)
        if word == "RUN":
            command = text.replace("/opt/venv", str(venv))
            subprocess.run(command, shell=True, cwd=place, env=environment, check=True)
    return str(venv / "bin" / "python")


@pytest.mark.parametrize("name", COMPOSED)
def test_a_compose_file_is_of_the_schema(name):
    PyCompose.from_yaml((DEPLOY / name).read_text(encoding="utf-8")).validate()


def test_the_schema_would_notice_a_mistake():
    wrong = (DEPLOY / "compose.yaml").read_text(encoding="utf-8").replace("restart:", "restarts:")
    with pytest.raises(ValueError, match="restarts"):
        PyCompose.from_yaml(wrong)


def test_the_services_and_files_of_the_compose_file_are_there():
    composed = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = composed["services"]
    for service in services.values():
        assert set(service.get("depends_on", ())) <= set(services)
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), port
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in composed["volumes"]
    image = environment_of(instructions("Dockerfile")[1])
    settings = {**image, **services["image2poem"]["environment"], "IMAGE2POEM_TRACES": "none"}
    config = parse([], settings)
    seconds = int(services["image2poem"]["stop_grace_period"].removesuffix("s"))
    assert seconds > config.drain_wait + config.grace
