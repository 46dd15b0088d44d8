"""`runcord runs watch` and `runcord events` follow a run and the ledger, for people and for programs."""

import asyncio
import json
import os
import subprocess
import sys

from runcord.testing.server import API_KEY, ServerProcess

from .conftest import calling


def watch(server: ServerProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return runcord(server, "runs", "watch", *arguments)


def runcord(server: ServerProcess, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "RUNCORD_BASE_URL": server.base_url, "RUNCORD_API_KEY": API_KEY, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "runcord", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_run_is_watched_to_its_end(servers: tuple[ServerProcess, ServerProcess]) -> None:
    async def prepare() -> str:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            await work.log("so far so good")
            for word in ("Hello, ", "you"):
                await work.chunk(word)
            await work.say("complete")
            return work.run_id

    run_id = asyncio.run(prepare())
    text = watch(servers[0], run_id).stdout.splitlines()
    assert len(text) == 6 and text[4].endswith("run.stream_opened.v1")
    assert text[0].endswith("run.triggered.v1  new → queued") and text[3].endswith("log  so far so good")
    events = [json.loads(line) for line in watch(servers[0], run_id, "--format", "json").stdout.splitlines()]
    assert [event["version"] for event in events] == [1, 2, 3, 4, 5, 6] and events[-1]["to"] == "completed"
    rest = watch(servers[0], run_id, "--after", str(events[-2]["position"]))
    assert len(rest.stdout.splitlines()) == 1
    assert watch(servers[0], run_id, "--chunks").stdout == "Hello, you"
    chunks = watch(servers[0], run_id, "--chunks", "--format", "json", "--after", "1").stdout.splitlines()
    assert [json.loads(line)["chunk"] for line in chunks] == ["you"]
    missing = watch(servers[0], "run_none")
    assert missing.returncode == 1 and len(missing.stderr.splitlines()) == 1


def test_the_ledger_is_printed_and_followed(servers: tuple[ServerProcess, ServerProcess]) -> None:
    async def prepare() -> str:
        async with calling(servers[0]) as (one,):
            work = await one.working()
            await work.say("tags", {"tags": {"of": "this test"}})
            await work.say("complete")
            return work.run_id

    run_id = asyncio.run(prepare())
    lines = runcord(servers[1], "events", "--run", run_id).stdout.splitlines()
    assert len(lines) == 5 and all(run_id in line for line in lines)
    chosen = runcord(
        servers[1],
        "events",
        "--tag",
        "of=this test",
        "--type",
        "run.tagged",
        "--type",
        "run.completed",
        "--format",
        "json",
    )
    events = [json.loads(line) for line in chosen.stdout.splitlines()]
    assert [event["type"] for event in events] == ["run.tagged.v1", "run.completed.v1"]
    after = str(events[0]["position"] - 1)
    followed = runcord(servers[1], "events", "--follow", "--run", run_id, "--after", after, "--limit", "2")
    assert followed.returncode == 0 and len(followed.stdout.splitlines()) == 2
    wrong = runcord(servers[1], "events", "--tag", "none")
    assert wrong.returncode == 2 and "KEY=VALUE" in wrong.stderr
