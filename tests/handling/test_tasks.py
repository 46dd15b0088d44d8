"""Tasks become jobs by their first trigger, give their idempotency keys back, and are replayed with changes."""

import asyncio
from typing import Any

import pytest

from runcord.errors import NotFound, RunNotFound
from runcord.handling.idempotency import ANY_REQUEST
from runcord.handling.metadata import ChangeRunMetadata
from runcord.handling.runs import CommandRun
from runcord.handling.tasks import FreeTaskKey, ReplayTask, TriggerTask
from runcord.handling.trigger import Triggering, TriggerRequest
from runcord.ids import new_id
from runcord.job.state import Job
from runcord.run import commands as c
from runcord.run.metadata import MetadataOperation
from runcord.run.packet import SUPERJSON, Packet
from runcord.run.state import Run
from runcord.run.status import Status
from runcord.testing.project import CONTEXT, Project, in_project

DEFAULTS = {"max_attempts": 3}


def wish(**members: Any) -> TriggerRequest:
    return TriggerRequest(members.pop("run_id", None) or new_id("run"), **members)


async def trigger(project: Project, slug: str = "resize", job_id: str | None = None, **members: Any) -> Triggering:
    return await project.execute(TriggerTask(CONTEXT, slug, wish(**members), DEFAULTS, job_id))


def jobs(project: Project) -> list[str]:
    return [row[0] for row in project.rows("select slug from jobs where project_id = %s", project.project_id)]


async def ended(project: Project, run: Run, how: c.WorkerCommand | c.OperatorCommand) -> Run:
    await project.claim(run_id=run.run_id)
    return await project.command(run, how)


@in_project
async def test_a_task_that_is_not_there_becomes_a_job(project: Project):
    run = (await trigger(project, "images/resize", payload={"n": 1})).run
    assert (run.job_slug, run.status, run.policy.max_attempts) == ("images/resize", Status.QUEUED, 3)
    again = (await trigger(project, "images/resize")).run
    assert again.job_id == run.job_id
    assert jobs(project) == ["images/resize"]


@in_project
async def test_triggers_that_race_make_one_job(project: Project):
    made = await asyncio.gather(*(trigger(project) for _ in range(20)))
    assert len({one.run.job_id for one in made}) == 1
    assert jobs(project) == ["resize"]


@in_project
async def test_a_job_that_was_defined_is_the_task_of_its_slug(project: Project):
    job: Job = await project.create_job("resize", max_attempts=7)
    found = await trigger(project)
    assert (found.run.job_id, found.run.policy.max_attempts) == (job.job_id, 7)
    assert (await trigger(project, job_id=job.job_id)).run.job_id == job.job_id


@in_project
async def test_a_guess_that_is_wrong_does_no_harm(project: Project):
    other = await project.create_job("other")
    run = (await trigger(project, job_id=other.job_id, idempotency_key="k")).run
    assert run.job_slug == "resize"
    assert (await trigger(project, job_id=other.job_id, idempotency_key="k")).run == run


@in_project
async def test_the_same_request_sent_again_makes_no_second_run(project: Project):
    run_id = new_id("run")
    first = await trigger(project, run_id=run_id, repeatable=True)
    second = await trigger(project, run_id=run_id, repeatable=True)
    assert second.run == first.run
    assert not second.idempotency_hit
    assert project.history(first.run) == ["run.triggered.v1"]


@in_project
async def test_a_key_finds_its_run_whatever_is_asked_for(project: Project):
    first = await trigger(project, payload=1, idempotency_key="k", fingerprint=ANY_REQUEST)
    second = await trigger(project, payload=2, idempotency_key="k", fingerprint=ANY_REQUEST)
    assert (second.run, second.idempotency_hit) == (first.run, True)
    assert not (await trigger(project, "other", idempotency_key="k")).idempotency_hit


@in_project
async def test_triggers_that_race_for_a_key_make_one_run(project: Project):
    made = await asyncio.gather(*(trigger(project, idempotency_key="k") for _ in range(20)))
    assert len({one.run.run_id for one in made}) == 1
    assert sum(one.idempotency_hit for one in made) == 19


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        (c.Complete(), True),
        (c.Cancel(), True),
        (c.Fail(c.Failure("broken"), retryable=False), False),
    ],
    ids=["completed", "canceled", "failed"],
)
def test_a_run_that_failed_gives_its_key_to_the_next_trigger(
    dsn: str, how: c.WorkerCommand | c.OperatorCommand, kept: bool
):
    @in_project
    async def test(project: Project):
        first = (await trigger(project, idempotency_key="k")).run
        await ended(project, first, how)
        second = await trigger(project, idempotency_key="k")
        assert second.idempotency_hit is kept
        assert (second.run.run_id == first.run_id) is kept
        assert (await trigger(project, idempotency_key="k")).run.run_id == second.run.run_id

    test(dsn)


@in_project
async def test_a_key_that_was_freed_makes_a_new_run(project: Project):
    first = (await trigger(project, idempotency_key="k")).run
    freed: Run = await project.execute(FreeTaskKey(CONTEXT, "resize", "k"))
    assert (freed.run_id, freed.idempotency_key) == (first.run_id, None)
    assert not (await trigger(project, idempotency_key="k")).idempotency_hit


@in_project
async def test_a_key_that_nobody_holds_cannot_be_freed(project: Project):
    for slug in ("resize", "no-such-task"):
        with pytest.raises(NotFound, match="holds this idempotency key"):
            await project.execute(FreeTaskKey(CONTEXT, slug, "k"))
        await trigger(project, idempotency_key="other")


@in_project
async def test_a_run_is_replayed_in_any_status_with_its_packet(project: Project):
    text = '{"json":{"at":"x"},"meta":{"values":{"at":["Date"]}}}'
    packet = Packet(SUPERJSON, text)
    first = (await trigger(project, payload={"at": "x"}, packet=packet, tags={"a": ""}, hints={"test": True})).run
    made = (await project.execute(ReplayTask(CONTEXT, first.run_id, new_id("run")))).run
    assert (made.replay_of, made.tags, made.hints) == (first.run_id, {"a": ""}, {"test": True})
    assert (made.payload_type, made.payload_text_kept) == (SUPERJSON, True)
    again = (await project.execute(ReplayTask(CONTEXT, made.run_id, new_id("run")))).run
    stored = project.rows("select convert_from(data, 'UTF8')::jsonb from events where stream_id = %s", again.run_id)
    assert stored[0][0]["payload_text"] == text


@in_project
async def test_a_replay_may_change_what_was_asked_for(project: Project):
    first = (await trigger(project, payload={"n": 1}, priority=1)).run
    changes = {"payload": {"n": 2}, "payload_type": None, "payload_text": None, "queue": "slow", "tags": {"b": ""}}
    replay = ReplayTask(CONTEXT, first.run_id, new_id("run"), changes, {"max_attempts": 9})
    made = await project.execute(replay)
    assert (made.run.queue, made.run.tags, made.run.policy.max_attempts, made.run.priority) == ("slow", {"b": ""}, 9, 1)
    assert made.payload == {"n": 2}
    assert (await project.execute(replay)).run == made.run
    assert project.history(first) == ["run.triggered.v1", "run.replayed.v1"]


@in_project
async def test_a_replay_with_a_key_makes_one_run(project: Project):
    first = (await trigger(project)).run
    replays = [ReplayTask(CONTEXT, first.run_id, new_id("run"), {"idempotency_key": "k"}) for _ in range(5)]
    made = await asyncio.gather(*map(project.execute, replays))
    assert len({one.run.run_id for one in made}) == 1
    assert (await trigger(project, idempotency_key="k")).idempotency_hit


@in_project
async def test_metadata_of_parent_and_root_is_changed_with_a_runs_own(project: Project):
    root = (await trigger(project)).run
    parent = (await trigger(project, parent_run_id=root.run_id)).run
    child = (await trigger(project, parent_run_id=parent.run_id)).run
    count = (MetadataOperation("increment", "n", 1),)
    await project.execute(ChangeRunMetadata(CONTEXT, child.run_id, count, count, count))
    await project.execute(ChangeRunMetadata(CONTEXT, root.run_id, count, count, count))
    found = [await project.execute(CommandRun(CONTEXT, run.run_id, c.Tag({}))) for run in (root, parent, child)]
    assert [run.metadata for run in found] == [{"n": 4}, {"n": 1}, {"n": 1}]
    with pytest.raises(RunNotFound):
        await project.execute(ChangeRunMetadata(CONTEXT, new_id("run"), count))
