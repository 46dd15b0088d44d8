"""Lists: the newest fifty runs that a filter picks among a million, over HTTP."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import psycopg

from runcord.clock import monotonic
from runcord.run.status import Status
from runcord.sql import load
from runcord_bench import product
from runcord_bench.database import Databases
from runcord_bench.population import BATCH, HANDFUL, TEMPLATE, populate
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Figure, Sample, in_turn
from runcord_bench.server import PROJECT, Server, running_server
from runcord_projections.run_terms import RunFilter
from runcord_projections.run_terms.projection import SQL as RUN_TERMS

SQL = load("runcord_bench", "lists.sql")

PAGE = 50
P99_MS = 20.0
"""What any one filter may take."""

_NEWEST = 2**63 - 1
_WARM_UP = 5
_PRESENT: Mapping[str, int] = {}


@dataclass(frozen=True)
class Case:
    """A filter, and how many rows its first page has."""

    name: str
    wanted: RunFilter
    rows: int = PAGE
    single: bool = True
    """Whether it is one filter alone: those have a must."""

    @property
    def query(self) -> dict[str, str]:
        """The filter as parameters of `GET /v1/runs`."""
        wanted = self.wanted.params()
        given = {name: wanted[name] for name in ("job_id", "batch_id", "triggered_by")}
        if self.wanted.statuses is not None:
            given["statuses"] = ",".join(self.wanted.statuses)
        given["payload_contains"] = wanted["payload"]
        for kind, entries in (("tag", self.wanted.tags), ("metadata", self.wanted.metadata)):
            for key, value in entries.items():
                given |= {f"{kind}_key": key, f"{kind}_value": value}
        return {name: value for name, value in given.items() if value is not None}


def measure(databases: Databases, effort: Effort) -> Report:
    """Fill a project, then list by each filter in turn, and see what each has read."""
    with ExitStack() as stack:
        dsn = product.prepare(databases.create("lists"))
        product.open_project(dsn, PROJECT)
        job_id = asyncio.run(populate(dsn, PROJECT, effort.listed))
        server = stack.enter_context(running_server(dsn))
        client = stack.enter_context(client_of(server))
        cases = list(cases_among(job_id, effort.listed))
        found = {case.name: first_page(client, case) for case in cases}
        figures = sample(client, server.conn, cases, found, effort)
        checks = [
            speed(cases, figures, P99_MS),
            as_expected(cases, found),
            by_index(server.conn, cases, RUN_TERMS["page"], {"before": _NEWEST}),
        ]
    return Report([Line(case.name, **figures[case.name]) for case in cases], checks, ledgers="copies")


def cases_among(job_id: str, runs: int) -> Iterator[Case]:
    """Yield every filter at every selectivity, and filters together."""
    one_in_thousand = min(PAGE, runs // TEMPLATE)
    values = {"all": ("yes", PAGE), "old": ("old", PAGE), "few": ("few", HANDFUL), "none": ("nowhere", 0)}
    statuses = {"all": Status.COMPLETED, "old": Status.CANCELED, "few": Status.PAUSED, "none": Status.CRASHED}
    yield Case("no filter", RunFilter())
    for which, status in statuses.items():
        yield Case(f"status: {which}", RunFilter([status]), values[which][1])
    yield Case("statuses: old, few and none", RunFilter([*statuses.values()][1:]))
    yield Case("job_id: all", RunFilter(job_id=job_id))
    yield Case("job_id: none", RunFilter(job_id="job_nowhere"), 0)
    yield Case(f"batch_id: one of {BATCH}", RunFilter(batch_id="batch_bench"))
    yield Case("batch_id: none", RunFilter(batch_id="batch_nowhere"), 0)
    for which, (value, rows) in values.items():
        member: Mapping[str, str] = {"which" if which == "all" else "era": value}
        yield Case(f"triggered_by: {which}", RunFilter(triggered_by=value), rows)
        yield Case(f"tag: {which}", RunFilter(tags=member), rows)
        yield Case(f"tag_key: {which}", RunFilter(tags={value: None}), rows)
        yield Case(f"metadata: {which}", RunFilter(metadata=member), rows)
        yield Case(f"metadata_key: {which}", RunFilter(metadata={value: None}), rows)
        yield Case(f"payload_contains: {which}", RunFilter(payload={"options": {"which": [value]}}), rows)
    yield Case("payload_contains: 1 in 1,000", RunFilter(payload={"customer": 7}), one_in_thousand)
    for name, wanted, rows in (
        ("status all, tag all", RunFilter([Status.COMPLETED], tags={"which": "yes"}), PAGE),
        ("status all, tag old", RunFilter([Status.COMPLETED], tags={"era": "old"}), PAGE),
        ("status old, tag new", RunFilter([Status.CANCELED], tags={"era": "new"}), 0),
        ("job all, payload 1 in 1,000", RunFilter(job_id=job_id, payload={"customer": 7}), one_in_thousand),
        ("tag old, metadata new", RunFilter(tags={"era": "old"}, metadata={"era": "new"}), 0),
        ("two payloads 1 in 1,000, none", RunFilter(payload={"customer": 7, "seat": 8}), 0),
    ):
        yield Case(name, wanted, rows, single=False)


def sample(
    client: httpx2.Client,
    conn: psycopg.Connection[tuple[Any, ...]],
    cases: Sequence[Case],
    found: Mapping[str, Sequence[str]],
    effort: Effort,
    moment: Mapping[str, int] = _PRESENT,
) -> Mapping[str, Mapping[str, Figure]]:
    """Sample all cases in each round, one after the other, of the present or of a moment.

    The floor reads the same runs by their keys; those of the past are what happened to them until then.
    """
    floor = SQL["some_events" if moment else "some_runs"]
    sides: dict[str, Callable[[], Sample]] = {}
    for case in cases:
        request = client.build_request("GET", "/v1/runs", params={**case.query, **moment, "limit": PAGE})
        keys = {"project_id": PROJECT, "run_ids": list(found[case.name]), **moment}
        operations: dict[str, Callable[[], object]] = {
            "product": lambda request=request: client.send(request).raise_for_status(),
            "floor": lambda keys=keys: conn.execute(floor, keys).fetchall(),
        }
        for side, operate in operations.items():
            _timed(operate, _WARM_UP)
            sides[f"{side} {case.name}"] = lambda operate=operate: _timed(operate, effort.triggers // 2)
    figures = in_turn(effort.rounds, sides)
    return {case.name: {side: figures[f"{side} {case.name}"] for side in ("product", "floor")} for case in cases}


def _timed(operate: Callable[[], object], times: int) -> Sample:
    latencies: list[float] = []
    for _ in range(times):
        began = monotonic()
        operate()
        latencies.append(monotonic() - began)
    return Sample(None, latencies)


def client_of(server: Server) -> httpx2.Client:
    """Return a client of the server."""
    return httpx2.Client(
        base_url=server.base_url, headers={"Authorization": f"Bearer {server.api_key}"}, timeout=60, trust_env=False
    )


def first_page(client: httpx2.Client, case: Case, moment: Mapping[str, int] = _PRESENT) -> list[str]:
    """Return the runs of the first page."""
    answer = client.get("/v1/runs", params={**case.query, **moment, "limit": PAGE})
    answer.raise_for_status()
    return [run["id"] for run in json.loads(answer.content)]


def speed(cases: Sequence[Case], figures: Mapping[str, Mapping[str, Figure]], limit_ms: float) -> Check:
    """Return whether every filter alone is as fast as it must be."""
    slowest = max((case.name for case in cases if case.single), key=lambda name: _p99(figures, name))
    return Check(
        what=f"each filter alone lists {PAGE} runs with a p99 under {limit_ms:g} ms",
        found=f"{_p99(figures, slowest):.1f} ms for the slowest, {slowest}",
        passed=_p99(figures, slowest) < limit_ms,
        of_speed=True,
    )


def _p99(figures: Mapping[str, Mapping[str, Figure]], name: str) -> float:
    return figures[name]["product"].percentiles_ms["p99"]


def as_expected(cases: Sequence[Case], found: Mapping[str, Sequence[str]]) -> Check:
    """Return whether every list has the runs that it should."""
    wrong = [f"{case.name} has {len(found[case.name])}" for case in cases if len(set(found[case.name])) != case.rows]
    return Check(
        what="every list has as many runs as were made to be in it",
        found="; ".join(wrong) or f"{len(cases)} lists",
        passed=not wrong,
    )


def by_index(
    conn: psycopg.Connection[tuple[Any, ...]], cases: Sequence[Case], statement: bytes, place: Mapping[str, int]
) -> Check:
    """Run each list's statement in a transaction of its own, and ask the server what was read in it."""
    read: dict[str, int] = {}
    whole: list[str] = []
    for case in cases:
        params = {"project_id": PROJECT, "limit": PAGE + 1, **place, **case.wanted.params()}
        with conn.transaction():
            conn.execute(statement, params)
            [(tables, rows)] = conn.execute(SQL["touched"]).fetchall()
        read[case.name] = rows
        if tables:
            whole.append(case.name)
    most = max(read, key=read.__getitem__)
    return Check(
        what="every list is read by indexes: no table as a whole",
        found="; ".join(whole) or f"at most {read[most]:,} rows, for {most}",
        passed=not whole,
    )
