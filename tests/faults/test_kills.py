"""kill -9, of servers, workers and PostgreSQL: every acknowledged command is there, each once."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap

import pytest

from runcord.clock import monotonic
from runcord.testing.invariants import check_ledger
from runcord.testing.postgres import TestServer
from runcord.testing.server import API_KEY, PROJECT, ServerProcess

from .clients import Journal, create_job, http, struck, trigger_keys, until, work_off

pytestmark = pytest.mark.faults

RECOVERY_SECS = 15.0
"""RELIABILITY.md wants 5 s of a machine that has nothing else to do; a test machine has."""


def check_journal(journal: Journal, expected: int) -> None:
    """I1 and I7: enough was acknowledged, and no key was ever answered with two runs."""
    assert len(journal.runs) == expected
    assert all(len(runs) == 1 for runs in journal.runs.values()), "a key was answered with two runs"


@pytest.mark.parametrize("moment", ["committer.before_commit", "committer.after_commit"])
@pytest.mark.parametrize("count", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_a_server_killed_around_its_commit_loses_and_doubles_nothing(durable_dsn: str, moment: str, count: int) -> None:
    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            await create_job(server, "job")
            server.kill()
            server.start(fault=f"{moment}:{count}")
            journal = Journal()
            triggering = asyncio.create_task(trigger_keys(server, journal, "job", clients=12, each=10))
            await struck(server)
            await asyncio.to_thread(server.start)
            await triggering
            assert journal.failures > 0
        check_journal(journal, 120)
        counted = check_ledger(durable_dsn, PROJECT)
        assert counted["run.triggered.v1"] == 120

    asyncio.run(test())


def test_a_server_killed_at_any_moment_loses_and_doubles_nothing(durable_dsn: str) -> None:
    dice = random.Random(int(os.environ.get("RUNCORD_SEED", "7")))

    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            await create_job(server, "job", retry_initial_delay_secs=0, max_attempts=50)
            journal = Journal()
            work = asyncio.gather(
                trigger_keys(server, journal, "job", clients=8, each=60),
                work_off(server, journal, workers=8, expected=480),
            )
            for _ in range(3):
                await asyncio.sleep(dice.uniform(0.2, 1.0))
                server.kill()
                await asyncio.to_thread(server.start)
            await work
        check_journal(journal, 480)
        assert set(journal.settled) == {run for runs in journal.runs.values() for run in runs}
        counted = check_ledger(durable_dsn, PROJECT)
        assert (counted["run.triggered.v1"], counted["run.completed.v1"]) == (480, 480)

    asyncio.run(test())


def test_a_killed_postgres_loses_nothing_and_the_server_goes_on(durable_postgres: TestServer, durable_dsn: str) -> None:
    async def test() -> None:
        with ServerProcess(durable_dsn) as server:
            await create_job(server, "job", retry_initial_delay_secs=0, max_attempts=50)
            journal = Journal()
            work = asyncio.gather(
                trigger_keys(server, journal, "job", clients=8, each=40),
                work_off(server, journal, workers=4, expected=320),
            )
            for _ in range(2):
                await asyncio.sleep(0.5)
                pid = durable_postgres.server.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                killed_at = monotonic()
                while durable_postgres.server.pid in {None, pid}:
                    assert monotonic() - killed_at < RECOVERY_SECS, "the database did not come back"
                    await asyncio.sleep(0.02)
                # What was answered before that is no sign of life.
                seen = len(journal.runs)
                while len(journal.runs) == seen and not work.done():
                    assert monotonic() - killed_at < RECOVERY_SECS, "writes did not come back"
                    await asyncio.sleep(0.02)
            await work
            assert server.exit_code is None
        check_journal(journal, 320)
        counted = check_ledger(durable_dsn, PROJECT)
        assert (counted["run.triggered.v1"], counted["run.completed.v1"]) == (320, 320)

    asyncio.run(test())


WORKER = textwrap.dedent(
    """
    import sys, threading
    from runcord.worker import Worker

    worker = Worker(sys.argv[1], sys.argv[2], worker_id=sys.argv[3], lease_secs=2, concurrency=2)

    @worker.job("job")
    def handle(payload, context):
        seen = context.checkpoint
        context.save_checkpoint({"by": sys.argv[3]})
        if sys.argv[4] == "hang":
            threading.Event().wait(60)
        return {"by": sys.argv[3], "seen": seen}

    worker.run()
    """
)


def start_worker(server: ServerProcess, name: str, mode: str) -> subprocess.Popen[bytes]:
    """Start a worker process on the SDK."""
    command = [sys.executable, "-c", WORKER, server.base_url, API_KEY, name, mode]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_the_runs_of_a_lost_worker_are_taken_over_and_a_zombie_is_refused(dsn: str, how: signal.Signals) -> None:
    async def test() -> None:
        with ServerProcess(dsn) as server:
            await create_job(server, "job", retry_initial_delay_secs=0, timeout_secs=120)
            lost = start_worker(server, "lost", "hang")
            workers = [lost]
            try:
                async with http(server) as client:
                    made = await client.post("/v1/jobs/job/trigger/bulk", json={"items": [{}, {}]})
                    run_ids = [result["id"] for result in made.json()["results"]]
                    for run_id in run_ids:
                        await until(client, run_id, lambda run: run["status"] == "executing" and run["version"] >= 4)
                    os.kill(lost.pid, how)
                    killed_at = monotonic()
                    workers.append(start_worker(server, "saver", "work"))
                    for run_id in run_ids:
                        run = await until(client, run_id, lambda run: run["status"] == "completed")
                        assert run["result"] == {"by": "saver", "seen": {"by": "lost"}}
                        assert run["attempt"] == 2
                    assert monotonic() - killed_at < 2 + RECOVERY_SECS
                    if how is signal.SIGSTOP:
                        # The zombie wakes up and reports: its attempt is not the run's any more.
                        os.kill(lost.pid, signal.SIGCONT)
                        for run_id in run_ids:
                            late = await client.post(
                                f"/sdk/v1/runs/{run_id}/complete",
                                json={"result": "zombie"},
                                headers={"X-Runcord-Attempt": "1"},
                            )
                            assert (late.status_code, late.json()["code"]) == (409, "stale_attempt")
            finally:
                for worker in workers:
                    worker.kill()
                    worker.wait()
        counted = check_ledger(dsn, PROJECT)
        assert (counted["run.completed.v1"], counted["run.retried.v1"]) == (2, 2)

    asyncio.run(test())
