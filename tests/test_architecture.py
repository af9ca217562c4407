"""The house's laws: who may import whom, how long a file may be, what must never be committed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {
    "models": {"models"},
    "index_builder": {"models", "index_builder"},
    "server": {"models", "index_builder", "server", "image2poem.v1"},
    "clients/image2poem": {"image2poem"},
    "clients/web": {"image2poem", "web"},
}
# Of the client's extras, each in its own modules; imported when they are used.
CLIENT_EXTRAS = {name: {"PIL"} for name in ("card", "_card_layout", "_card_paper", "_card_type")}
LEARNING_ONLY = {"torch", "transformers", "accelerate", "onnx", "onnxscript", "opencc", "scipy"}
MAY_IMPORT_GRPC = {
    "service",
    "errors",
    "app",
    "observation",
    "handlers",
    "index_admin",
    "auth",
    "readiness",
    "tls",
    "transport",
}


def python_files(room: str) -> list[Path]:
    files = [
        path for path in (ROOT / room).rglob("*.py") if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
    ]
    assert files
    return files


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_in_one_direction(room):
    houses = {"models", "index_builder", "server", "image2poem", "web", "tests", "benchmarks"}
    for path in python_files(room):
        for name in imports(path):
            if name.split(".")[0] in houses:
                assert any(name == ok or name.startswith(f"{ok}.") for ok in ROOMS[room]), f"{path}: {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_torch_and_its_kin_are_for_learning_alone(room):
    for path in python_files(room):
        if "training" not in path.relative_to(ROOT).parts:
            found = {name.split(".")[0] for name in imports(path)} & LEARNING_ONLY
            assert not found, f"{path}: {found}"
            assert not any(name.startswith("models.training") for name in imports(path)), path


def test_only_three_server_files_know_grpc():
    for path in python_files("server"):
        if any(name.split(".")[0].startswith("grpc") for name in imports(path)):
            assert path.stem in MAY_IMPORT_GRPC, path


def test_the_client_needs_grpc_and_protobuf_alone():
    for path in python_files("clients/image2poem"):
        allowed = (
            sys.stdlib_module_names | {"grpc", "google", "image2poem"} | CLIENT_EXTRAS.get(path.stem, set())
        )
        assert {name.split(".")[0] for name in imports(path)} <= allowed, path


def test_there_are_no_import_cycles():
    files = [path for room in ROOMS for path in python_files(room)]
    modules = {module_name(path): path for path in files}
    graph = {name: used_by(path, set(modules)) - {name} for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above, name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "clients" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def used_by(path: Path, modules: set[str]) -> set[str]:
    """The modules that a file imports, or imports a name from."""
    return {name if name in modules else name.rpartition(".")[0] for name in imports(path)} & modules


def test_files_are_short_and_none_is_called_utils():
    for room in (*ROOMS, "benchmarks", "deploy"):
        for path in python_files(room):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
            assert path.stem not in {"utils", "helpers", "common", "misc"}, path


def test_the_server_process_never_loads_torch():
    code = "import server.app, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    path = f"{ROOT}:{ROOT / 'clients'}"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert "'onnxruntime'" in loaded.stdout
    assert "'torch'" not in loaded.stdout


def test_nothing_of_a_machine_or_a_registry_is_committed():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    forbidden = re.compile(r"/root/|/home/\w+/|https?://\S+/simple\b")
    for name in tracked.splitlines():
        path = ROOT / name
        if not path.exists():
            continue  # Deleted, and not committed yet.
        assert path.stat().st_size < 45_000_000, name
        if path != Path(__file__) and path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".txt",
            ".json",
            ".sh",
            ".yaml",
            "",
        }:
            assert not forbidden.search(path.read_text(encoding="utf-8", errors="ignore")), name


def test_shipped_models_hold_no_path_of_the_machine_that_made_them():
    models = list((ROOT / "models" / "bundles").rglob("*.onnx"))
    assert models
    for path in models:
        assert not re.search(rb"/[\w./-]+\.py\b", path.read_bytes()), path
