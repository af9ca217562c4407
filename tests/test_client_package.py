"""The client as others install it: complete, typed, and explained."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pdoc
import pytest

import image2poem

CLIENTS = Path(image2poem.__file__).resolve().parent.parent
PROJECT = tomllib.loads((CLIENTS / "pyproject.toml").read_text(encoding="utf-8"))
RIGHT = """
from image2poem import AsyncClient, Client, Finished, Overloaded, Retry, Token
from image2poem.card import card_of

def write(picture: bytes) -> str:
    with Client("localhost:1", timeout=None, retry=Retry(attempts=2)) as client:
        events = client.compose(picture=picture, form="wujue", fixed_texts=[(0, 0, "春")])
        try:
            for event in events:
                match event:
                    case Token(text=text):
                        print(text.strip())
                    case Finished(poem=poem):
                        card_of(event, picture=picture).hex()
                        return poem[0]
        except Overloaded as error:
            wait: float | None = error.retry_after
            print(wait)
    return ""

async def score(client: AsyncClient) -> float:
    async for event in client.compose(text="秋江"):
        reveal_type(event)
    return (await client.lookup_keywords(text="秋江")).keywords[0].score
"""
CONFIG = """
[mypy]
[mypy-grpc.*,google.*,PIL.*]
ignore_missing_imports = true
[mypy-image2poem.v1.*]
ignore_errors = true
"""
WRONG = {
    "client.compose(colour='red')": "colour",
    "client.compose(candidates='many')": "candidates",
    "client.info().poets[0].nom": "nom",
    "client.check_poem(1)": "check_poem",
    "len(client.compose(text='春'))": "len",
}


def test_every_folder_of_the_package_is_shipped():
    setuptools = PROJECT["tool"]["setuptools"]
    root = CLIENTS / "image2poem"
    folders = {path.parent for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    names = {".".join(folder.relative_to(CLIENTS).parts): folder for folder in folders}
    assert set(names) == set(setuptools["packages"])
    for name, folder in names.items():
        shipped = {
            path for pattern in setuptools["package-data"].get(name, []) for path in folder.glob(pattern)
        }
        others = {path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"}
        assert others <= shipped, name


def test_it_asks_for_grpc_and_protobuf_and_names_its_licences():
    project = PROJECT["project"]
    assert [name.split(">")[0] for name in project["dependencies"]] == ["grpcio", "protobuf"]
    assert set(project["optional-dependencies"]) == {"card"}
    assert all((CLIENTS / name).is_file() for name in project["license-files"])
    assert (CLIENTS / "LICENSE").read_bytes() == (CLIENTS.parent / "LICENSE").read_bytes()


def test_users_types_are_checked(tmp_path):
    """By mypy --strict, as in a program that imports the installed package."""
    wrong = [f"def wrong{number}() -> None:\n    {code}\n" for number, code in enumerate(WRONG)]
    program = tmp_path / "program.py"
    program.write_text(RIGHT + "\nclient = Client()\n" + "".join(wrong), encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-site-packages"]
    done = subprocess.run(
        [*command, "--cache-dir", str(CLIENTS.parent / ".mypy_cache" / "users"), str(program)],
        cwd=tmp_path,
        env={"MYPYPATH": str(CLIENTS), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    revealed = [line for line in lines if "note: Revealed" in line]
    assert len(revealed) == 1
    assert all(name in revealed[0] for name in ("Retrieved", "Token", "Line", "Finished"))
    errors = [line for line in lines if ": error: " in line]
    assert len(errors) == len(WRONG), done.stdout
    for error, word in zip(errors, WRONG.values(), strict=True):
        assert word in error


def test_every_public_name_is_explained(tmp_path):
    for name in image2poem.__all__:
        thing = getattr(image2poem, name)
        if not inspect.isclass(thing):
            continue
        assert inspect.getdoc(thing), name
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            own = function.__module__.startswith("image2poem") and not method.startswith("_")
            assert not own or inspect.getdoc(function), f"{name}.{method}"


@pytest.mark.filterwarnings("ignore")
def test_the_reference_is_generated(tmp_path):
    pdoc.render.configure(docformat="google")
    pdoc.pdoc("image2poem", "image2poem.card", output_directory=tmp_path)
    page = (tmp_path / "image2poem.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in image2poem.__all__)
    assert "render_card" in (tmp_path / "image2poem" / "card.html").read_text(encoding="utf-8")
