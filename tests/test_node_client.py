"""The Node.js client against a running server: another language, the same contract."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fakes import PICTURE, WORDS, GatedPoet, eventually
from image2poem import Client, Finished
from test_server_process import process

FOLDER = Path(__file__).resolve().parent.parent / "clients" / "node"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").exists(),
    reason="needs node, and `make node`, which installs what clients/node needs",
)


def node(*arguments, code=None, **options):
    command = ["node", *(["--input-type=module", "--eval", code] if code else ["main.mjs", *arguments])]
    # No proxy stands between this machine and itself.
    environment = {**os.environ, "no_grpc_proxy": "127.0.0.1", **options}
    return subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, timeout=60, encoding="utf-8"
    )


def test_a_poem_is_the_one_that_the_python_client_gets(server, picture):
    run = node(picture, "--form", "qijue", "--seed", "7", "--json", "--target", server.target)
    assert (run.returncode, run.stderr) == (0, "")
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert [event["event"] for event in events[:2]] == ["retrieved", "token"]
    assert events[1]["token"] | {"logProbability": None} == {
        "candidate": 0, "line": 0, "position": 0, "id": events[1]["token"]["id"],
        "text": events[1]["token"]["text"], "logProbability": None,
    }  # fmt: skip
    with Client(server.target) as client:
        [*_, last] = client.compose(picture=PICTURE, form="qijue", seed=7)
    finished = events[-1]["finished"]
    assert isinstance(last, Finished)
    assert tuple(finished["poem"]) == tuple(last.poem)
    assert (finished["seed"], finished["form"], finished["poet"]) == ("7", "FORM_QIJUE", "t5")
    assert finished["finishReason"] == "FINISH_REASON_COMPLETE"
    lines = "".join(event["token"]["text"] for event in events if event["event"] == "token")
    assert lines == "".join(finished["poem"])


def test_the_terminal_shows_the_poem_as_verse(server):
    run = node("--keywords", "明月，故乡", "--form", "wujue", IMAGE2POEM_TARGET=server.target)
    assert run.returncode == 0, run.stderr
    head, verse, foot = run.stdout.strip().split("\n\n")
    assert head == "意象：明月 故乡"
    assert [len(line) for line in verse.splitlines()] == [6, 6, 6, 6]
    assert [line[-1] for line in verse.splitlines()] == ["，", "。", "，", "。"]
    assert foot.startswith("t5 · seed ")


def test_lookups_and_facts(server):
    code = f"""
        import {{ Client }} from "./client.mjs";
        const client = new Client("{server.target}");
        const found = await client.lookupKeywords({{ text: "秋江", topK: 3 }});
        const facts = await client.serverInfo();
        console.log(JSON.stringify([found, facts]));
        client.close();
    """
    run = node(code=code)
    assert run.returncode == 0, run.stderr
    found, facts = json.loads(run.stdout)
    assert len(found["keywords"]) == 3
    assert {keyword["text"] for keyword in found["keywords"]} <= set(WORDS)
    assert facts["index"] == {"version": "index-1", "size": "12", "kind": "flat"}
    assert [poet["name"] for poet in facts["poets"]] == ["t5", "gpt2"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--keywords", "moon"], "INVALID_OPTION"),
        (["--text", "秋江", "--poet", "libai"], "UNKNOWN_MODEL"),
        (["--keywords", "长江"], "PROMPT_TOO_LONG"),
    ],
)
def test_failures_have_their_stable_reason_in_one_line(server, arguments, reason):
    run = node(*arguments, "--target", server.target)
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.startswith(f"image2poem: {reason} ")


@pytest.mark.parametrize(
    "arguments", [[], ["a.jpg", "b.jpg"], ["a.jpg", "--text", "秋"], ["--unheard-of"]], ids=str
)
def test_wrong_usage_is_2(arguments):
    run = node(*arguments)
    assert run.returncode == 2
    assert "Error" not in run.stderr.splitlines()[-1]
    assert run.stderr.splitlines()[1].startswith("node main.mjs [PICTURE]")


def test_a_missing_picture_is_one_line():
    run = node("/nowhere.jpg")
    assert (run.returncode, len(run.stderr.splitlines())) == (1, 1)
    assert "/nowhere.jpg" in run.stderr


def test_leaving_the_loop_frees_the_place(serve):
    poet = GatedPoet()
    poet.let(200)
    running = serve(poets={"t5": poet}, workers=1)
    while poet._gate.acquire(blocking=False):
        pass
    poet.let(3)
    code = f"""
        import {{ Client }} from "./client.mjs";
        const client = new Client("{running.target}");
        let tokens = 0;
        for await (const event of client.compose({{ text: "秋江" }})) {{
          if (event.event === "token" && ++tokens === 3) break;
        }}
        console.log(tokens);
        client.close();
    """
    run = node(code=code)
    assert (run.returncode, run.stdout) == (0, "3\n"), run.stderr
    assert eventually(lambda: poet.stopped() is True)
    poet.let(200)
    assert eventually(lambda: running.app.poems.admission.in_use == 0)


def test_an_error_tells_its_request_and_what_arrived_before_it_stays(server):
    code = f"""
        import {{ Client, Image2PoemError }} from "./client.mjs";
        const client = new Client("{server.target}");
        const wish = {{ keywords: {{ words: ["坏"] }} }};
        const seen = [];
        try {{
          for await (const event of client.compose(wish)) seen.push(event.event);
        }} catch (error) {{
          console.log(JSON.stringify([
            seen, error instanceof Image2PoemError, error.code, error.reason, error.requestId.length,
          ]));
        }}
        client.close();
    """
    run = node(code=code)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [["retrieved"] + ["token"] * 5, True, "INTERNAL", "INTERNAL", 32]


def test_calls_go_round_and_survive_a_server_that_stops(picture):
    with process(FAKE_STEP_SECONDS="0.002") as first, process(FAKE_STEP_SECONDS="0.002") as second:
        addresses = [json.loads(child.stdout.readline())["address"] for child in (first, second)]
        code = f"""
            import {{ readFileSync }} from "node:fs";
            import {{ Client }} from "./client.mjs";
            const client = new Client("ipv4:{",".join(addresses)}");
            const picture = readFileSync({json.dumps(picture)});
            let poems = 0;
            for (let n = 0; n < 20; n++) {{
              if (n === 8) process.kill({first.pid}, "SIGTERM");
              for await (const event of client.compose({{ picture }})) poems += event.event === "finished";
            }}
            console.log(poems);
            client.close();
        """
        run = node(code=code)
        assert (run.returncode, run.stdout) == (0, "20\n"), run.stderr
        assert first.wait(20) == 0
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
        shares = [sum("ComposePoem" in line for line in child.stderr) for child in (first, second)]
        assert min(shares) >= 2, shares
