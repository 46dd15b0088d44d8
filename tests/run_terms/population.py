"""A population of runs, and what a reader gets to see of it."""

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
import psycopg

from runcord.clock import utc_now
from runcord.handling.reschedule import RescheduleRun
from runcord.handling.trigger import TriggerRequest, TriggerRuns
from runcord.ids import new_id
from runcord.run import commands as c
from runcord.testing.project import CONTEXT, Project
from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.projection import SQL
from runcord_projections.run_view.projection import CODEC

KEYS = ["env", "customer", "ü", "a\\b"]
VALUES = ["", "prod", "test", "42", "x" * 200, '"']
PAYLOADS: Sequence[Any] = [
    None,
    {},
    [],
    "prod",
    0,
    1,
    -0.0,
    1.5,
    True,
    {"n": 1, "m": None},
    {"n": 1.0, "deep": {"er": [1, 2, {"x": "y"}]}},
    {"n": "1", "deep": {}},
    {"deep": [], "list": [[1], [2, "prod"]]},
    {"deep": {"er": [{"x": "y"}, {"x": "z"}]}},
    [1, "prod", None],
    [{"n": 1}],
    {"text": "\\u0000 is no NUL", "quote": '"\\'},
    {"text": "NUL \0 no request can hold"},
    {"many": list(range(2000))},
    {"many": {str(n): n for n in range(700)}, "n": 1},
]


def a_filter(random: random.Random) -> RunFilter:
    """Return a filter of a few members."""
    some: dict[str, Any] = {}
    for _ in range(random.choice([0, 1, 1, 1, 2, 3])):
        match random.randrange(6):
            case 0:
                some["statuses"] = random.sample(["queued", "canceled", "executing", "delayed", "paused"], 2)
            case 1:
                some["triggered_by"] = random.choice(["manual", "cron", "nobody"])
            case 2:
                some["tags"] = {
                    random.choice(KEYS): random.choice([None, *VALUES]) for _ in range(random.choice([1, 2]))
                }
            case 3:
                some["metadata"] = {random.choice(KEYS): random.choice([None, *VALUES])}
            case 4:
                some["payload"] = a_part(random, random.choice([each for each in PAYLOADS if not _holds_nul(each)]))
            case _:
                some["batch_id"] = random.choice(["batch_1", "batch_2", "batch_none"])
    return RunFilter(**some)


def a_part(random: random.Random, value: Any) -> Any:
    """Return something that the value may contain."""
    if isinstance(value, dict):
        chosen = random.sample(sorted(value), min(len(value), random.choice([0, 1, 2, 3])))
        return {name: a_part(random, value[name]) for name in chosen}
    if isinstance(value, list):
        chosen = [random.choice(value) for _ in range(min(len(value), random.choice([0, 1, 2])))]
        part = [a_part(random, element) for element in chosen]
        return part[0] if len(part) == 1 and random.random() < 0.3 else part
    return random.choice([value] * 5 + [1, "prod", None])


async def populate(project: Project, random: random.Random, runs: int) -> None:
    """Trigger runs, then change some of them."""
    jobs = [await project.create_job(slug) for slug in ("one", "two", "three")]
    made: list[str] = []
    batches = 0
    while len(made) < runs:
        requests = [
            TriggerRequest(
                new_id("run"),
                payload=random.choice(PAYLOADS),
                tags=labels(random),
                metadata=labels(random),
                delay_secs=random.choice([None, 3600]),
            )
            for _ in range(random.choice([1, 1, 5, 20]))
        ]
        batch = None
        if random.random() < 0.7:
            batches += 1
            batch = f"batch_{batches}"
        cause = random.choice(["manual", "cron"])
        await project.execute(TriggerRuns(CONTEXT, random.choice(jobs).job_id, requests, cause, batch))
        made += [request.run_id for request in requests]
    await project.claim(runs // 10)
    for run_id in random.sample(made, runs // 2):
        (state,) = project.rows("select state from runs where run_id = %s", run_id)[0]
        run = CODEC.decode(state)
        match random.randrange(4):
            case 0:
                await project.command(run, c.Tag(labels(random) or {"env": "prod"}))
            case 1:
                await project.command(run, c.Annotate(labels(random) or {"env": "prod"}))
            case 2 if run.status in {"queued", "delayed"}:
                at, payload = utc_now() + timedelta(hours=2), random.choice(PAYLOADS)
                await project.execute(RescheduleRun(CONTEXT, run_id, at, payload, replace_payload=True))
            case _ if not run.is_terminal:
                await project.command(run, c.Cancel())
            case _:
                pass


def labels(random: random.Random) -> Mapping[str, str] | None:
    """Return a few tags, or none."""
    return {random.choice(KEYS): random.choice(VALUES) for _ in range(random.choice([0, 0, 1, 3]))} or None


class Reader:
    """Reads lists by the product's statement, and by looking at every run."""

    def __init__(self, project: Project, conn: psycopg.Connection[Any]) -> None:
        self._project = project
        self._conn = conn
        rows = project.rows(
            "select state, payload, created_position, status, job_id, batch_id, triggered_by from runs"
            " where project_id = %s order by created_position desc",
            project.project_id,
        )
        self.rows = [(CODEC.decode(state), payload and orjson.loads(payload), *rest) for state, payload, *rest in rows]

    def listed(self, wanted: RunFilter, limit: int) -> list[int]:
        """Return the places of all runs found, page by page."""
        found: list[int] = []
        while page := self.page(wanted, limit, found[-1] if found else None):
            found += page
        return found

    def page(self, wanted: RunFilter, limit: int, before: int | None = None) -> list[int]:
        """Return the places of the runs of a page, those below a place."""
        params = {**wanted.params(), "limit": limit, "before": 2**63 - 1 if before is None else before}
        rows = self._conn.execute(SQL["page"], {"project_id": self._project.project_id, **params}).fetchall()
        return [row[4] for row in rows]

    def meant(self, wanted: RunFilter) -> list[int]:
        """Return the places of all runs for which the filter holds, the newest first."""
        return [row[2] for row in self.rows if holds(wanted, *row)]


def holds(
    wanted: RunFilter, run: Any, payload: Any, _: int, status: str, job: str, batch: str | None, cause: str
) -> bool:
    """Whether a run, with what there is of it beside its state, meets a filter."""
    return (
        (wanted.statuses is None or status in wanted.statuses)
        and wanted.job_id in {None, job}
        and wanted.batch_id in {None, batch}
        and wanted.triggered_by in {None, cause}
        and _has(run.tags or {}, wanted.tags)
        and _has(run.metadata or {}, wanted.metadata)
        and (wanted.params()["payload"] is None or _payload_contains(payload, wanted.payload))
    )


def _has(labels: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(key in labels and value in {None, labels[key]} for key, value in wanted.items())


def _payload_contains(payload: Any, part: Any) -> bool:
    if payload is None or _holds_nul(payload):
        return False
    return contains(payload, part) or (isinstance(payload, list) and _is_among(payload, part))


def _holds_nul(payload: Any) -> bool:
    return isinstance(payload, dict) and "\0" in str(payload.get("text"))


def contains(whole: Any, part: Any) -> bool:
    """Whether one JSON value contains another, as PostgreSQL documents `@>`, but for elements of a list at the top."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(n in whole and contains(whole[n], v) for n, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(e, p) for e in whole) for p in part)
    return isinstance(whole, bool) == isinstance(part, bool) and whole == part


def _is_among(elements: list[Any], part: Any) -> bool:
    return not isinstance(part, dict | list) and any(contains(element, part) for element in elements)
