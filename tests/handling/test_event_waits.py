"""Waits for events in the command handlers: several commands in one group, timers, and the rows afterwards."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from runcord.handling.event_waits import EventWait
from runcord.handling.events import CancelWait, SendEvent, SendToPrefix, WaitForEvent, beyond
from runcord.queue.scheduler import Scheduler
from runcord.run import commands as c
from runcord.run.state import Run
from runcord.testing.project import CONTEXT, Project, in_project, open_committer


@given(st.text(min_size=1, max_size=4), st.text(max_size=6))
def test_what_begins_with_a_prefix_lies_between_it_and_what_is_beyond(prefix: str, text: str) -> None:
    end = beyond(prefix)
    for candidate in (text, prefix + text):
        stored = candidate.encode()
        inside = stored >= prefix.encode() and (end is None or stored < end.encode())
        assert inside == candidate.startswith(prefix)


def test_nothing_is_beyond_the_last_character() -> None:
    assert beyond("\U0010ffff\U0010ffff") is None
    assert beyond("a\U0010ffff") == "b"
    assert beyond("\ud7ff") == "\ue000"


def waiting(run: Run, key: str, timeout_secs: float = 3600) -> WaitForEvent:
    return WaitForEvent(CONTEXT, run.run_id, c.WaitForEvent(key, f"trigger_{key}", timeout_secs))


async def working(project: Project, count: int) -> list[Run]:
    """Return runs that are at work."""
    job = await project.create_job()
    for _ in range(count):
        await project.trigger(job)
    return [claimed.run for claimed in await project.claim(count)]


def statuses(project: Project) -> dict[str, str]:
    return dict(project.rows("select event_key, status from event_waits"))  # pyright: ignore[reportArgumentType]


@in_project
async def test_a_wait_and_what_ends_it_may_share_a_group(project: Project) -> None:
    runs = await working(project, 4)
    keys = ("p/received", "p/canceled", "q/sent", "p/waits on")
    committer = open_committer(project.dsn, started=False)
    try:
        commands = [
            *(waiting(run, key) for run, key in zip(runs, keys, strict=True)),
            CancelWait(CONTEXT, "p/canceled"),
            SendEvent(CONTEXT, "q/sent", {"n": 1}),
            SendToPrefix(CONTEXT, "p/r", 2),
            SendToPrefix(CONTEXT, "p/r", 3),
        ]
        under_way = [asyncio.ensure_future(committer.execute(project.project_id, command)) for command in commands]
        await asyncio.sleep(0)
        committer.start()
        answers = [committed.value for committed in await asyncio.gather(*under_way)]
    finally:
        committer.close()
    assert isinstance(answers[5], EventWait) and answers[5].status == "received"
    assert [[wait.event_key for wait in answer] for answer in answers[6:]] == [["p/received"], []]
    assert statuses(project) == {
        "p/received": "received",
        "p/canceled": "canceled",
        "q/sent": "received",
        "p/waits on": "waiting",
    }
    rows = project.rows("select settled_at is null, sent_by, payload from event_waits where event_key = 'p/received'")
    assert rows == [(False, "test", b"2")]


@in_project
async def test_a_wait_that_nothing_ends_times_out(project: Project) -> None:
    (run,) = await working(project, 1)
    await project.execute(waiting(run, "k", timeout_secs=0.001))
    from runcord.ledger.database import service_pool

    async with service_pool(project.dsn, 2) as pool:
        scheduler = Scheduler(pool, project.committer)
        while not await scheduler.fire():
            pass
    assert project.rows("select status, settled_at >= waits_until from event_waits") == [("timed_out", True)]


@in_project
async def test_a_wait_keeps_its_beginning_when_it_ends(project: Project) -> None:
    (run,) = await working(project, 1)
    await project.execute(waiting(run, "k"))
    what = "select position, requested_at, waits_until, trigger_id from event_waits"
    before = project.rows(what)
    await project.execute(SendEvent(CONTEXT, "k"))
    assert project.rows(what) == before
    assert before[0][0] == project.rows("select position from events where type = 'run.waited.v1'")[0][0]


@in_project
async def test_a_failed_attempt_ends_its_wait(project: Project) -> None:
    (run,) = await working(project, 1)
    await project.execute(waiting(run, "k"))
    await project.command(run, c.Fail(c.Failure("boom")))
    assert statuses(project) == {"k": "canceled"}
