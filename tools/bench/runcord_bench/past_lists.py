"""Lists of the past: the newest fifty runs that a filter would have picked at a position, among a million."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

from runcord.run.status import FINISHED, Status
from runcord_bench import product
from runcord_bench.database import Databases
from runcord_bench.lists import (
    PAGE,
    SQL,
    Case,
    as_expected,
    by_index,
    cases_among,
    client_of,
    first_page,
    sample,
    speed,
)
from runcord_bench.population import AT_ONCE, HANDFUL, populate
from runcord_bench.report import Line, Report
from runcord_bench.sampling import Effort
from runcord_bench.server import PROJECT, running_server
from runcord_projections.run_history.past_runs import SQL as PAST_RUNS
from runcord_projections.run_terms import RunFilter

P99_MS = 50.0
"""What any one filter may take."""


def measure(databases: Databases, effort: Effort) -> Report:
    """Fill a project, then list by each filter in turn as of a position at three quarters of it.

    A handful of runs are at work there.
    """
    with ExitStack() as stack:
        dsn = product.prepare(databases.create("past_lists"))
        product.open_project(dsn, PROJECT)
        job_id = asyncio.run(populate(dsn, PROJECT, effort.listed, whole=True))
        server = stack.enter_context(running_server(dsn))
        client = stack.enter_context(client_of(server))
        [(head,)] = server.conn.execute(SQL["position"], {"project_id": PROJECT, "span": 1}).fetchall()
        after = {"project_id": PROJECT, "after": head * 3 // 4}
        [(position,)] = server.conn.execute(SQL["moment"], after).fetchall()
        moment = {"position": position}
        cases = [*cases_among(job_id, effort.listed * 3 // 4), *_cases_at_work()]
        found = {case.name: first_page(client, case, moment) for case in cases}
        figures = sample(client, server.conn, cases, found, effort, moment)
        checks = [
            speed(cases, figures, P99_MS),
            as_expected(cases, found),
            by_index(server.conn, cases, PAST_RUNS["candidates"], {"before": position + 1, **moment}),
        ]
    return Report([Line(case.name, **figures[case.name]) for case in cases], checks, ledgers="copies")


def _cases_at_work() -> Iterator[Case]:
    """Yield what only the past has: runs that were at work then and are over now."""
    yield Case("status: at work then", RunFilter([Status.EXECUTING]), AT_ONCE)
    yield Case("status: queued then", RunFilter([Status.QUEUED]), 0)
    yield Case("statuses: all that are open", RunFilter([s for s in Status if s not in FINISHED]), AT_ONCE + HANDFUL)
    yield Case("status: dead letters", RunFilter([Status.DEAD_LETTER]), PAGE)
    yield Case("status at work, tag all", RunFilter([Status.EXECUTING], tags={"which": "yes"}), AT_ONCE, single=False)
