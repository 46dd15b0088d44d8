"""kill -9 of the process that moves projections on: they go on where they stood, and count every event once."""

import asyncio
import os
import signal
import subprocess
import sys
from itertools import cycle

import psycopg
import pytest

from runcord.clock import monotonic
from runcord.handling.descent import ReplayDeadLetter
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.testing.invariants import check_ledger
from runcord.testing.project import CONTEXT, Project, open_project
from runcord.testing.projections import check_rebuilt
from runcord.testing.server import PROJECT, ServerProcess

from .clients import Journal, create_job, struck, trigger_keys, work_off

pytestmark = pytest.mark.faults

BACK_SECS = 10.0
"""Within this time after a kill, projections are up to date again."""


PROJECTOR = """
import sys
from runcord import faults
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections

faults.arm_from_environment()
projector = Projector(sys.argv[1], projections())
while projector.advance(sys.argv[2], limit=1).position:
    pass
"""
"""A process that moves projections on by one event at a time."""


def lag(dsn: str) -> int:
    """Return how many events the live projections are behind, the one that is furthest."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        row = conn.execute(
            "select h.position - coalesce(min(p.position), 0) from ledger_heads h "
            "left join projections p on p.project_id = h.project_id and p.status = 'live' "
            "where h.project_id = %s group by h.position",
            (PROJECT,),
        ).fetchone()
    assert row is not None
    return row[0]


async def caught_up(dsn: str, within: float = BACK_SECS) -> None:
    """Return when the projections have got to the end of the ledger."""
    deadline = monotonic() + within
    while lag(dsn):
        assert monotonic() < deadline, f"{lag(dsn)} events behind"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
@pytest.mark.parametrize("passing", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (4, 6, 8))])
def test_projections_go_on_where_a_kill_has_left_them(dsn: str, moment: str, passing: int) -> None:
    async def live() -> None:
        server = ServerProcess(dsn)
        try:
            server.start(fault=f"projector.{moment}:{passing}")
            journal = Journal()
            await create_job(server, "work", tags={"team": "red"})
            work = asyncio.gather(
                trigger_keys(server, journal, "work", clients=5, each=30),
                work_off(server, journal, workers=2, expected=150),
            )
            await struck(server)
            server.kill()
            server.start()
            await work
            await caught_up(dsn)
        finally:
            server.kill()
        live = check_rebuilt(dsn, PROJECT)
        assert live["run_history"]
        assert live["job_statistics"]
        check_ledger(dsn, PROJECT)

    asyncio.run(live())


def test_another_process_takes_up_what_a_killed_one_has_left(dsn: str) -> None:
    async def live() -> None:
        with ServerProcess(dsn) as other:
            server = ServerProcess(dsn)
            try:
                # It commits, and dies before it has moved anything on.
                server.start(fault="projector.before_commit:1")
                try:
                    await create_job(server, "work")
                except Exception:
                    pass
                await struck(server)
            finally:
                server.kill()
            await caught_up(dsn)
            assert other.exit_code is None
        check_ledger(dsn, PROJECT)

    asyncio.run(live())


def test_a_server_that_stops_by_itself_leaves_nothing_behind(dsn: str) -> None:
    async def live() -> None:
        journal = Journal()
        with ServerProcess(dsn) as server:
            await create_job(server, "work")
            await trigger_keys(server, journal, "work", clients=2, each=20)
            assert server.stop() in {0, -signal.SIGTERM}
        with ServerProcess(dsn):
            await caught_up(dsn)
        live = check_rebuilt(dsn, PROJECT)
        assert live["run_history"]
        assert live["job_statistics"]

    asyncio.run(live())


async def eventful(project: Project, logs: int) -> None:
    """Make a history of which every projection has rows; with 50 log lines, snapshots as well."""
    job = await project.create_job("frail", max_attempts=1)
    dead = await project.trigger(job, tags={"team": "red"})
    await project.claim(run_id=dead.run_id)
    await project.command(dead, c.Fail(Failure("boom")))
    await project.execute(ReplayDeadLetter(CONTEXT, dead.run_id))
    await project.claim(run_id=dead.run_id)
    for n in range(logs):
        await project.command(dead, c.Log(str(n)))
    await project.command(dead, c.Tag({"team": "blue"}))
    await project.command(dead, c.Complete({"ok": True}))


@pytest.mark.parametrize("logs", [0, pytest.param(50, marks=pytest.mark.slow)])
def test_projections_are_as_if_built_at_once_though_killed_at_every_event(dsn: str, logs: int) -> None:
    async def live() -> str:
        async with open_project(dsn) as project:
            await eventful(project, logs)
            return project.project_id

    project_id = asyncio.run(live())
    with psycopg.connect(dsn, autocommit=True) as conn:
        (events,) = conn.execute("select position from ledger_heads").fetchone() or (0,)
    kills = 0
    # Each process commits one event: it is killed after that, or before it commits the next.
    for fault in cycle(["projector.after_commit:1", "projector.before_commit:2"]):
        command = [sys.executable, "-P", "-c", PROJECTOR, dsn, project_id]
        ended = subprocess.run(command, env=os.environ | {"RUNCORD_FAULT": fault}, check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        kills += 1
        assert kills <= events
    assert kills >= events - 1
    live_rows = check_rebuilt(dsn, project_id)
    assert {name for name, rows in live_rows.items() if not rows} == (set() if logs else {"run_snapshots"})
