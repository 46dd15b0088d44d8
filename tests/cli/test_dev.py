"""`runcord dev`: what it says, what it keeps, and how it ends."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from runcord import clock

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Call = Callable[..., tuple[int, Any]]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_it_says_in_one_line_where_it_is_once_it_is_ready(start: Start, state_dir: Path, call: Call) -> None:
    server = start("dev", "--json", "--port", "0", "--state-dir", state_dir)
    facts = server.facts()

    assert call(f"{facts['base_url']}/readyz")[0] == 200
    assert set(facts) == {"base_url", "project_id", "api_key", "secret_key", "pid", "state_dir"}
    assert facts["project_id"] == "proj_dev"
    assert facts["secret_key"] == facts["api_key"]
    assert facts["pid"] == server.process.pid
    assert facts["state_dir"] == str(state_dir)
    assert stat.S_IMODE((state_dir / "credentials.json").stat().st_mode) == 0o600
    assert call(f"{facts['base_url']}/v1/jobs", facts["api_key"])[0] == 200

    assert server.stop(signal.SIGTERM) == 0
    assert server.process.stdout.read() == ""
    assert not (state_dir / "server.json").exists()


def test_the_next_commands_work_as_they_stand_and_so_do_the_commands_about_runs(
    start: Start, state_dir: Path, runcord: Run
) -> None:
    server = start("dev", "--port", "0", "--state-dir", state_dir)
    assert "ready" in server.first_line()
    said: list[str] = []
    while len(commands := [line.strip() for line in said if line.startswith(("  curl ", "  runcord ", "  /"))]) < 3:
        said.append(server.first_line())

    printed = [
        subprocess.run(["sh", "-ec", command], capture_output=True, text=True, timeout=30, check=True).stdout
        for command in commands
    ]
    run = json.loads(printed[1])
    assert json.loads(printed[0])["slug"] == "hello"
    assert run["id"] in printed[2] and "queued" in printed[2]

    here = ("--state-dir", state_dir)
    shown = json.loads(runcord("runs", "show", run["id"], "--format", "json", *here).stdout)
    assert (shown["status"], shown["payload"]) == ("queued", {"greeting": "hello"})
    first = json.loads(runcord("runs", "show", run["id"], "--version", "1", "--format", "json", *here).stdout)
    assert first["id"] == run["id"]
    history = runcord("runs", "history", run["id"], *here).stdout
    events = json.loads(runcord("runs", "history", run["id"], "--format", "json", *here).stdout)
    assert [event["version"] for event in events] == list(range(1, len(events) + 1))
    assert all(event["type"] in history for event in events)
    born = str(events[0]["position"])
    for moment in ("2100-01-01T00:00:00Z", born):
        then = json.loads(runcord("runs", "at", moment, run["id"], "--format", "json", *here).stdout)
        assert (then["id"], then["status"]) == (run["id"], "queued")
    assert json.loads(runcord("runs", "list", "--position", born, "--format", "json", *here).stdout) == [then]
    assert run["id"] in runcord("runs", "list", "--at", "2100-01-01T00:00:00Z", *here).stdout
    listed = json.loads(runcord("runs", "list", "--status", "queued", "--format", "json", *here).stdout)
    assert [each["id"] for each in listed] == [run["id"]]
    assert json.loads(runcord("runs", "list", "--status", "completed", "--format", "json", *here).stdout) == []
    meant = ("--payload-contains", '{"greeting":"hello"}', "--status", "queued", "--status", "executing")
    assert run["id"] in runcord("runs", "list", *meant, *here).stdout
    assert "no such runs" in runcord("runs", "list", *meant, "--tag", "env=prod", *here).stderr
    assert "hello" in runcord("jobs", "list", *here).stdout
    missing = runcord("runs", "show", "run_none", *here)
    assert missing.returncode == 1 and len(missing.stderr.splitlines()) == 1
    projects = json.loads(runcord("projects", "list", "--format", "json", *here).stdout)
    assert [project["project_id"] for project in projects] == ["proj_dev"]
    assert runcord("check", *here).returncode == 0
    assert server.stop(signal.SIGINT) == 0


def test_the_next_start_has_the_same_key_and_data_after_a_kill(start: Start, state_dir: Path, call: Call) -> None:
    first = start("dev", "--json", "--port", "0", "--state-dir", state_dir)
    before = first.facts()
    status, job = call(f"{before['base_url']}/v1/jobs", before["api_key"], {"name": "resize", "slug": "resize"})
    assert status == 201
    first.process.kill()
    first.process.wait()

    second = start("dev", "--json", "--port", "0", "--state-dir", state_dir)
    after = second.facts()
    assert after["api_key"] == before["api_key"]
    status, found = call(f"{after['base_url']}/v1/jobs/resize", after["api_key"])
    assert (status, found["id"]) == (200, job["id"])
    assert second.stop() == 0


def test_two_run_side_by_side_and_a_taken_directory_is_refused(start: Start, state_dir: Path, runcord: Run) -> None:
    one = start("dev", "--json", "--port", "0", "--state-dir", state_dir / "one")
    two = start("dev", "--json", "--port", "0", RUNCORD_STATE_DIR=state_dir / "two")
    facts = (one.facts(), two.facts())
    assert facts[0]["base_url"] != facts[1]["base_url"]
    assert facts[0]["api_key"] != facts[1]["api_key"]
    assert facts[1]["state_dir"] == str(state_dir / "two")

    refused = runcord("dev", "--json", "--port", "0", "--state-dir", state_dir / "one")
    assert refused.returncode == 2
    assert f"in use by process {facts[0]['pid']}" in refused.stderr
    assert runcord("jobs", "list", "--state-dir", state_dir / "one").returncode == 0
    assert (one.stop(), two.stop()) == (0, 0)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(state_dir: Path, runcord: Run, taken_port: int) -> None:
    outcome = runcord("dev", "--json", "--port", str(taken_port), "--state-dir", state_dir)
    assert outcome.returncode == 2
    assert str(taken_port) in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_the_usual_port_is_left_to_whoever_has_it(start: Start, state_dir: Path) -> None:
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # then somebody has it anyway
            held.enter_context(socket.create_server(("127.0.0.1", 8787)))
        server = start("dev", "--json", "--state-dir", state_dir)
        port = urlsplit(server.facts()["base_url"]).port
        assert port != 8787
        assert f"Port 8787 is taken: listening on {port} instead." in server.log.read_text()
        assert server.stop() == 0


def test_the_project_and_the_key_can_be_given(start: Start, state_dir: Path, call: Call) -> None:
    given = {"RUNCORD_BOOTSTRAP_PROJECT": "shop", "RUNCORD_BOOTSTRAP_API_KEY": "a-key-for-automation"}
    server = start("dev", "--json", "--port", "0", "--state-dir", state_dir, **given)
    facts = server.facts()
    assert (facts["project_id"], facts["api_key"]) == ("shop", "a-key-for-automation")
    assert call(f"{facts['base_url']}/v1/jobs", "a-key-for-automation")[0] == 200
    assert server.stop() == 0


def test_a_long_poll_does_not_hold_up_the_stop(start: Start, state_dir: Path, call: Call) -> None:
    server = start("dev", "--json", "--port", "0", "--state-dir", state_dir)
    facts = server.facts()
    answers: list[tuple[int, Any]] = []

    def poll() -> None:
        body = {"worker_id": "w1", "wait_secs": 60}
        answers.append(call(f"{facts['base_url']}/v1/runs/dequeue", facts["api_key"], body, timeout=60))

    waiting = threading.Thread(target=poll)
    waiting.start()
    # The claim is on its way once the server has another connection than ours; what matters is that it waits.
    waiting.join(0.5)
    assert waiting.is_alive(), answers
    begun = clock.monotonic()
    assert server.stop() == 0
    assert clock.monotonic() - begun < 10
    waiting.join(10)
    assert answers[0][0] in {200, 503}
    assert "Traceback" not in server.log.read_text()


def test_a_second_signal_ends_it_at_once(start: Start, state_dir: Path, call: Call) -> None:
    server = start("dev", "--json", "--port", "0", "--state-dir", state_dir)
    facts = server.facts()
    body = {"worker_id": "w1", "wait_secs": 60}
    url = f"{facts['base_url']}/v1/runs/dequeue"
    waiting = threading.Thread(target=call, args=(url, facts["api_key"], body))
    waiting.start()
    waiting.join(0.5)
    server.process.send_signal(signal.SIGINT)
    # Another number, because two of the same may become one.
    assert server.stop(signal.SIGTERM) == 128 + signal.SIGTERM
    waiting.join(10)


def test_postgres_ends_with_the_server(start: Start, state_dir: Path, wait_until: Callable[..., None]) -> None:
    server = start("dev", "--json", "--port", "0", "--state-dir", state_dir)
    server.facts()
    pid = int((state_dir / "pg" / "data" / "postmaster.pid").read_text().splitlines()[0])
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not _lives(pid), 30)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
