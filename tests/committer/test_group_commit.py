"""The committer: many commands in one transaction, each succeeding or failing on its own."""

import asyncio
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest

from runcord.errors import IllegalTransition, InternalError, JobNotFound, NotFound, RunNotFound
from runcord.faults import arm, disarm
from runcord.handling import idempotency
from runcord.handling.consequence import apply
from runcord.handling.descent import SpawnRun
from runcord.handling.runs import CommandRun
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.ledger.transaction import Plan, Transaction
from runcord.run import commands as c
from runcord.run.events import Annotated, Triggered
from runcord.run.retry import RetryPolicy
from runcord.run.status import Status
from runcord.testing.project import CONTEXT, Project, in_project, open_project


@dataclass(frozen=True)
class Poison:
    """A command that breaks in the way it is told to, after it has recorded something."""

    run_id: str
    how: str
    context = CONTEXT
    weight = 1

    def prepare(self, plan: Plan) -> None:
        plan.need(self.run_id)

    def handle(self, tx: Transaction) -> None:
        apply(tx, self.run_id, c.Annotate({"poison": "x"}))
        if self.how == "database":  # no text column takes a NUL
            tx.create(new_id("run"), Triggered("job_x", "x", 1, "\0", RetryPolicy()))
        if self.how == "python":
            raise RuntimeError("a bug")
        if self.how == "refusal":
            raise IllegalTransition("refused late")


@in_project
async def test_positions_follow_each_other_without_a_hole_over_concurrent_commands(project: Project) -> None:
    job = await project.create_job()
    await asyncio.gather(*(project.trigger(job) for _ in range(300)))
    positions = [row[0] for row in project.rows("select position from events order by position")]
    assert positions == list(range(1, 302))


@in_project
async def test_a_refused_command_fails_alone(project: Project) -> None:
    job = await project.create_job()
    run = await project.trigger(job)
    outcomes = await asyncio.gather(
        *(project.trigger(job) for _ in range(20)),
        project.command(run, c.Complete()),
        project.execute(CommandRun(CONTEXT, "run_unknown", c.Cancel())),
        *(project.trigger(job) for _ in range(20)),
        return_exceptions=True,
    )
    assert [type(o) for o in outcomes if isinstance(o, BaseException)] == [IllegalTransition, RunNotFound]
    assert project.rows("select count(*) from runs") == [(41,)]
    assert project.history(run) == ["run.triggered.v1"]


@pytest.mark.parametrize("how", ["python", "database", "refusal"])
def test_a_poisoned_command_fails_alone_and_leaves_nothing(dsn: str, how: str) -> None:
    async def test() -> None:
        async with open_project(dsn) as project:
            job = await project.create_job()
            run = await project.trigger(job)
            outcomes = await asyncio.gather(
                *(project.command(run, c.Annotate({f"before{i}": "x"})) for i in range(5)),
                project.execute(Poison(run.run_id, how)),
                *(project.command(run, c.Annotate({f"after{i}": "x"})) for i in range(5)),
                return_exceptions=True,
            )
            failed = [type(o) for o in outcomes if isinstance(o, BaseException)]
            assert failed == [IllegalTransition if how == "refusal" else InternalError]
            final = await project.command(run, c.SetDebug(True))
            assert sorted(final.metadata or {}) == sorted(
                [*(f"before{i}" for i in range(5)), *(f"after{i}" for i in range(5))]
            )
            assert final.version == 12
            versions = [row[0] for row in project.rows("select version from events where stream_id = %s", run.run_id)]
            assert versions == list(range(1, 13))

    asyncio.run(test())


@in_project
async def test_commands_to_one_run_in_one_group_see_each_other(project: Project) -> None:
    job = await project.create_job()
    run = await project.trigger(job)
    (claimed,) = await project.claim()
    assert claimed.run.run_id == run.run_id
    outcomes = await asyncio.gather(
        project.command(run, c.Checkpoint({"at": 1})),
        project.command(run, c.Checkpoint({"at": 2})),
        project.command(run, c.Complete({"ok": True})),
        project.command(run, c.Checkpoint({"at": 3})),
        return_exceptions=True,
    )
    assert [getattr(o, "checkpoints", type(o)) for o in outcomes] == [1, 2, 2, IllegalTransition]


@in_project
async def test_a_caller_that_goes_away_neither_stops_its_command_nor_the_committer(project: Project) -> None:
    job = await project.create_job()
    waiting = [asyncio.create_task(project.trigger(job)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await project.trigger(job)
    assert project.rows("select count(*) from runs") == [(51,)]


@in_project
async def test_a_project_without_a_ledger_is_not_found(project: Project) -> None:
    handler = TriggerRuns(CONTEXT, "job_x", [TriggerRequest(new_id("run"))])
    with pytest.raises(NotFound):
        await project.committer.execute("proj_nowhere", handler)


@in_project
async def test_a_job_of_another_project_cannot_be_triggered(project: Project) -> None:
    job = await project.create_job()
    async with open_project(project.dsn, "proj_other") as other:
        with pytest.raises(JobNotFound):
            await other.trigger(job)
        assert other.rows("select position from ledger_heads where project_id = 'proj_other'") == [(0,)]


@in_project
async def test_projects_have_ledgers_of_their_own(project: Project) -> None:
    async with open_project(project.dsn, "proj_other") as other:
        for each in (project, other):
            job = await each.create_job()
            await asyncio.gather(*(each.trigger(job) for _ in range(20)))
    found = project.rows("select project_id, count(*), min(position), max(position) from events group by 1 order by 1")
    assert found == [("proj_other", 21, 1, 21), ("proj_test", 21, 1, 21)]


@pytest.mark.parametrize("moment", ["committer.before_commit", "committer.after_commit"])
def test_a_commit_whose_answer_was_lost_is_resolved_by_reading_back(dsn: str, moment: str) -> None:
    """The backend is terminated before, or just after, the commit: each run is there exactly once."""

    async def test() -> None:
        async with open_project(dsn) as project:
            job = await project.create_job()

            def cut() -> None:
                disarm()
                with psycopg.connect(dsn, autocommit=True) as conn:
                    conn.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where application_name = 'runcord writer' and datname = current_database()"
                    )
                if moment == "committer.after_commit":
                    raise psycopg.OperationalError("the answer was lost")

            arm(moment, cut)
            try:
                runs = await asyncio.gather(*(project.trigger(job) for _ in range(10)))
            finally:
                disarm()
            assert len({run.run_id for run in runs}) == 10
            assert project.rows("select count(*), count(distinct stream_id) from events") == [(11, 11)]
            assert project.rows("select count(*) from runs") == [(10,)]

    asyncio.run(test())


@in_project
async def test_an_idempotency_key_gives_one_run_however_many_ask_at_once(project: Project) -> None:
    job = await project.create_job()
    request = {"idempotency_key": "k", "fingerprint": "f"}
    runs = await asyncio.gather(*(project.trigger(job, **request) for _ in range(40)))
    assert len({run.run_id for run in runs}) == 1
    assert project.rows("select count(*) from runs") == [(1,)]


@in_project
async def test_a_reset_key_makes_room_for_a_new_run(project: Project) -> None:
    job = await project.create_job()
    request = {"idempotency_key": "k", "fingerprint": "f"}
    first = await project.trigger(job, **request)
    reset, second = await asyncio.gather(project.command(first, c.ResetIdempotency()), project.trigger(job, **request))
    assert reset.idempotency_key is None
    assert second.run_id != first.run_id
    assert (await project.trigger(job, **request)).run_id == second.run_id


@in_project
async def test_a_cancelled_run_takes_its_descendants_along(project: Project) -> None:
    job = await project.create_job()
    root = await project.trigger(job)
    child = await project.trigger(job, parent_run_id=root.run_id)
    grandchild, stranger = await asyncio.gather(project.trigger(job, parent_run_id=child.run_id), project.trigger(job))
    await project.command(root, c.Cancel("enough"))
    statuses = dict(project.rows("select run_id, status from runs"))
    assert [statuses[run.run_id] for run in (root, child, grandchild, stranger)] == [
        "canceled",
        "canceled",
        "canceled",
        "queued",
    ]
    assert project.history(grandchild)[-1] == "run.canceled.v1"


@in_project
async def test_a_batch_is_triggered_whole_or_not_at_all(project: Project) -> None:
    job = await project.create_job(payload_schema={"type": "object", "required": ["n"]})
    with pytest.raises(Exception, match="does not match"):
        await project.trigger_many(job, [{"payload": {"n": 1}}, {"payload": {}}])
    assert project.rows("select count(*) from runs") == [(0,)]
    assert len(await project.trigger_many(job, [{"payload": {"n": n}} for n in range(500)])) == 500
    assert project.rows("select count(*), max(created_position) - min(created_position) from runs") == [(500, 499)]


@in_project
async def test_a_finished_child_releases_the_parent_that_waits_for_it(project: Project) -> None:
    job = await project.create_job()
    parent = await project.trigger(job)
    await project.claim()
    spawned = await project.execute(
        SpawnRun(CONTEXT, parent.run_id, "job", TriggerRequest(new_id("run")), await_completion=True)
    )
    assert project.rows("select status from runs where run_id = %s", parent.run_id) == [("waiting",)]
    await project.claim()
    await project.command(spawned.run, c.Complete({"answer": 42}))
    assert project.rows("select status from runs where run_id = %s", parent.run_id) == [("queued",)]
    assert project.history(parent)[-2:] == ["run.event_received.v1", "run.resumed.v1"]
    (again,) = await project.claim()
    assert (again.run.run_id, again.run.attempt, again.run.status) == (parent.run_id, 1, Status.EXECUTING)


WRITE = b"insert into job_secrets (project_id, job_id, name, sealed) values (%(project_id)s, 'job_x', %(name)s, '')"


@dataclass(frozen=True)
class InParts:
    """Triggers runs, each in a part of its own; the parts that are told to are refused after they have recorded."""

    job_id: str
    run_ids: tuple[str, ...]
    refused: frozenset[str]
    refuses_at_last: bool = False
    context = CONTEXT
    weight = 1

    def prepare(self, plan: Plan) -> None:
        plan.need(self.job_id)
        idempotency.prepare(plan, self.job_id, self.run_ids)

    def handle(self, tx: Transaction) -> list[str]:
        made: list[str] = []
        for run_id in self.run_ids:
            try:
                made.append(tx.isolate(partial(self._trigger, tx, run_id)))
            except IllegalTransition:
                assert (tx.state(run_id), list(tx.recorded(run_id))) == (None, [])
        if self.refuses_at_last:
            raise IllegalTransition("refused after all")
        return made

    def _trigger(self, tx: Transaction, run_id: str) -> str:
        request = TriggerRequest(run_id, idempotency_key=run_id, fingerprint="f")
        TriggerRuns(CONTEXT, self.job_id, [request]).handle(tx)
        tx.record(self.run_ids[0], Annotated({run_id: "x"}))
        tx.write(WRITE, {"name": run_id})
        if run_id in self.refused:
            raise IllegalTransition("refused late")
        return run_id


@in_project
async def test_a_part_that_is_refused_leaves_nothing_behind_and_the_parts_around_it_stay(project: Project) -> None:
    job = await project.create_job()
    run_ids = tuple(new_id("run") for _ in range(5))
    made = await project.execute(InParts(job.job_id, run_ids, frozenset(run_ids[1:4:2])))
    assert made == [run_ids[0], run_ids[2], run_ids[4]]
    assert [run_id for (run_id,) in project.rows("select run_id from runs order by created_position")] == made
    assert {key for (key,) in project.rows("select key from idempotency_keys")} == set(made)
    assert {name for (name,) in project.rows("select name from job_secrets")} == set(made)
    first = await project.execute(CommandRun(CONTEXT, run_ids[0], c.SetDebug(True)))
    assert (set(first.metadata), first.version) == (set(made), 5)


@in_project
async def test_a_command_that_is_refused_takes_its_parts_back_with_it(project: Project) -> None:
    job = await project.create_job()
    run_ids = tuple(new_id("run") for _ in range(3))
    refused, run = await asyncio.gather(
        project.execute(InParts(job.job_id, run_ids, frozenset(run_ids[1:2]), refuses_at_last=True)),
        project.trigger(job, idempotency_key=run_ids[0], fingerprint="f"),
        return_exceptions=True,
    )
    assert type(refused) is IllegalTransition
    assert project.rows("select run_id from runs") == [(run.run_id,)]
    assert project.rows("select key, run_id from idempotency_keys") == [(run_ids[0], run.run_id)]
    assert project.rows("select count(*) from events") == [(2,)]
