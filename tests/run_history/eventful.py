"""Runs with eventful lives, and a model of the ledger that keeps every state they ever had."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg
from tests.run_terms.population import KEYS, PAYLOADS, VALUES, a_part, labels

from runcord.clock import utc_now
from runcord.errors import RuncordError
from runcord.handling.admission import Keys, foresee
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.job.state import Job
from runcord.ledger import mapper
from runcord.projecting.projector import Projector
from runcord.projecting.registry import projections
from runcord.run import commands as c
from runcord.run.events import Failure
from runcord.run.evolve import evolve
from runcord.run.payload import payload_after
from runcord.run.state import Run
from runcord.run.status import FINISHED, Status
from runcord.testing.project import CONTEXT, Project
from runcord_projections.run_terms.filter import RunFilter

PLAIN = [payload for payload in PAYLOADS if b"NUL \\u0000" not in mapper.to_json(payload)]


async def live(project: Project, rng: random.Random, steps: int) -> None:
    """Let a few jobs run for so many steps: trigger, work, and everything that may come between."""
    jobs = [
        await project.create_job("plain", max_attempts=1),
        await project.create_job("patient", max_attempts=3, retry_initial_delay_secs=0, retry_max_delay_secs=0),
        await project.create_job("debounced", debounce_window_secs=3600),
        await project.create_job("gathered", batch_window_secs=3600, batch_max_size=3),
    ]
    made: list[str] = []
    for step in range(steps):
        if not made or rng.random() < 0.15:
            made += await _trigger(project, rng, rng.choice(jobs), f"batch_{step}" if rng.random() < 0.4 else None)
        elif rng.random() < 0.2:
            await project.claim(rng.choice([1, 3]), start=rng.random() < 0.8)
        else:
            # Mostly the same few: long lives are the eventful ones.
            run_id = rng.choice(made[-6:]) if rng.random() < 0.6 else rng.choice(made)
            try:
                await project.command(_named(run_id), _a_command(rng))
            except RuncordError:
                continue  # not in that status


async def be_restless(project: Project, rng: random.Random, runs: int, rounds: int) -> None:
    """Have runs change their status more often than is kept, and their events be more than lie between snapshots."""
    job = await project.create_job("restless")
    made = [await project.trigger(job, payload=rng.choice(PLAIN), tags=labels(rng)) for _ in range(runs)]
    for _ in range(rounds):
        for run in made:
            payload = {"payload": rng.choice(PLAIN), "replace_payload": True} if rng.random() < 0.02 else {}
            await project.command(run, c.Reschedule(utc_now() + timedelta(hours=1), **payload))
            await project.command(run, c.Reschedule(utc_now()))
    for claimed in await project.claim(runs // 2):
        await project.command(claimed.run, c.Complete({"n": 1}))
    for run in made:
        for _ in range(30):
            await project.command(run, c.Tag({rng.choice(KEYS): rng.choice(VALUES)}))


async def _trigger(project: Project, rng: random.Random, job: Job, batch_id: str | None) -> Sequence[str]:
    gathers = job.settings.debounce_window_secs or job.settings.batch_window_secs
    requests = [
        TriggerRequest(
            new_id("run"),
            payload=rng.choice(PLAIN),
            tags=labels(rng),
            metadata=labels(rng),
            delay_secs=None if gathers else rng.choice([None, None, 3600]),
            keys=Keys("k", "k") if gathers else None,
        )
        for _ in range(1 if gathers else rng.choice([1, 1, 3]))
    ]
    command = TriggerRuns(
        CONTEXT, job.job_id, requests, rng.choice(["manual", "cron"]), batch_id, foresight=foresee(job.settings)
    )
    return list(dict.fromkeys(one.run.run_id for one in await project.execute(command)))


def _named(run_id: str) -> Run:
    now = utc_now()
    return Run(run_id, 0, Status.QUEUED, "", "", 1, "", None, now, now, now)  # type: ignore[arg-type]


def _a_command(rng: random.Random) -> Any:
    later = utc_now() + timedelta(hours=1)
    tags = {rng.choice(KEYS): rng.choice(VALUES)}
    ending = rng.choice([c.Complete({"n": 1}), c.Complete(), c.Fail(Failure("broken")), c.Cancel()])
    return rng.choice(
        [
            ending,
            c.Fail(Failure("broken"), retry_after_secs=0),
            c.Fail(Failure("broken"), retry_after_secs=0),
            c.Tag(tags),
            c.Annotate(tags),
            c.Pause(),
            c.Resume(),
            c.Restart(),
            c.Wait("because"),
            c.ResumeWork(),
            c.Release(),
            c.Log("line", data={"large": "x" * 100}),
            c.Checkpoint({"line": 1}),
            c.SetOutput("out", [1]),
            c.Reschedule(later, rng.choice(PLAIN), replace_payload=True),
            c.Reschedule(utc_now()),
            c.StageReplay(),
            c.ReplayDeadLetter(),
            c.ReplayDeadLetter(),
        ]
    )


def project_all(project: Project) -> None:
    """Move all projections to the end of the ledger."""
    projector = Projector(project.dsn, projections())
    try:
        while projector.advance(project.project_id).position:
            pass
    finally:
        projector.close()


def begin_at(project: Project, position: int) -> None:
    """Have the ledger and all projections go on at a position, as if so much had happened before."""
    names = list(projections())
    project.rows("update ledger_heads set position = %s returning 1", position)
    project.rows(
        "insert into projections (project_id, name, generation, version, status, position)"
        " select %s, name, 1, 1, 'live', %s from unnest(%s::text[]) as name returning 1",
        project.project_id,
        position,
        names,
    )


class Was(NamedTuple):
    """A run, as it was."""

    created_position: int
    run: Run
    payload: Any
    result: Any


class Model:
    """Every state that each run has ever had."""

    def __init__(self, project: Project) -> None:
        with psycopg.connect(project.dsn) as conn:
            rows = conn.execute(
                "select stream_id, version, position, recorded_at, event_id, type, data, metadata from events"
                " where project_id = %s and stream_id like 'run\\_%%' order by position",
                (project.project_id,),
            ).fetchall()
        self.states: dict[str, list[tuple[int, Was]]] = {}
        events: dict[str, list[Any]] = {}
        self.head = 0
        for recorded in map(mapper.recorded, rows):
            self.head = recorded.position
            states = self.states.setdefault(recorded.stream_id, [])
            given = events.setdefault(recorded.stream_id, [])
            given.append(recorded.event)
            run = evolve(states[-1][1].run if states else None, recorded)
            assert run is not None
            result = getattr(recorded.event, "result", None) if run.status == Status.COMPLETED else None
            if states and states[-1][1].run.status == Status.COMPLETED:
                result = states[-1][1].result
            created = states[0][0] if states else recorded.position
            states.append((recorded.position, Was(created, run, payload_after(None, given), result)))

    def at(self, position: int) -> list[Was]:
        """Return all runs as they were at a position, newest first."""
        last = [[was for there, was in states if there <= position][-1:] for states in self.states.values()]
        return sorted((was for some in last for was in some), key=lambda was: -was.created_position)


def a_past_filter(rng: random.Random, model: Model) -> RunFilter:
    """Return a filter of a few members, which some runs may have met at some time."""
    some: dict[str, Any] = {}
    was = rng.choice(rng.choice(list(model.states.values())))[1]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        match rng.randrange(8):
            case 0 | 1 | 2:
                groups = [[was.run.status], list(Status), list(FINISHED), list(set(Status) - FINISHED)]
                group = rng.choice(groups)
                some["statuses"] = rng.sample(group, min(len(group), rng.choice([1, 1, 2, 4])))
            case 3:
                some["triggered_by"] = rng.choice(["manual", "cron", "nobody"])
            case 4:
                some["tags"] = {rng.choice(KEYS): rng.choice([None, *VALUES])}
            case 5:
                some["metadata"] = {rng.choice(KEYS): rng.choice([None, *VALUES])}
            case 6:
                some["payload"] = a_part(rng, was.payload if rng.random() < 0.7 else rng.choice(PLAIN))
            case _:
                some |= rng.choice([{"job_id": was.run.job_id}, {"batch_id": was.run.batch_id or "batch_none"}])
    return RunFilter(**some)
