"""Appends: single commands of concurrent callers, through the committer, without HTTP.

The stock recorder is compared with what does the same as it: commands that append one event to a new stream and do
nothing else. Triggers do far more (they look the job up, decide, and write the run's row with its indexes): the floor
that writes an event and a row is theirs, and what they take of the stock recorder's rate is shown as well.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing
from typing import Any

import uvloop

from runcord_bench import double_claim, floor, gap, product, stock
from runcord_bench.database import Databases
from runcord_bench.load import closed_loop
from runcord_bench.report import Check, Line, Report, line_of
from runcord_bench.sampling import Effort, Sample, in_turn

CONCURRENCY = (1, 8, 32, 128)
STOCK_CONCURRENCY = (1, stock.MOST_THREADS)

MUST_TIMES_STOCK = 8.0
AT_CONCURRENCY = 32

APPENDS = " concurrent appends"
TRIGGERS = " concurrent triggers"


def measure(databases: Databases, effort: Effort) -> Report:
    """Measure at each concurrency, then prove that nothing was missed, doubled or given out twice."""
    with ExitStack() as stack:
        product_dsn = product.prepare(databases.create("product"))
        floor_dsn = floor.prepare(databases.create("floor"))
        recorder = stack.enter_context(stock.open_recorder(databases.create("stock")))
        lines: list[Line] = []
        for what, operate in ((APPENDS, product_appends), (TRIGGERS, product_triggers)):
            for callers in CONCURRENCY:
                sides: dict[str, Callable[[], Sample]] = {
                    "product": _sampler(operate, product_dsn, callers, effort),
                    "floor": _sampler(floor_appends, floor_dsn, callers, effort),
                }
                if callers in STOCK_CONCURRENCY:
                    sides[stock.NAME] = lambda n=callers: stock.append_in_threads(recorder, n, effort.seconds)
                lines.append(line_of(f"{callers}{what}", in_turn(effort.rounds, sides)))
        checks = [
            _against_stock(lines),
            gap.check(product_dsn, effort),
            double_claim.check(product_dsn, effort),
        ]
    return Report(lines, checks)


async def product_appends(dsn: str, callers: int, seconds: float) -> Sample:
    """Append single events in a fresh ledger."""
    project_id = product.open_project(dsn)
    with product.open_committer(dsn, events_only=True) as committer:
        return await closed_loop(callers, seconds, lambda: product.append(committer, project_id))


async def product_triggers(dsn: str, callers: int, seconds: float) -> Sample:
    """Trigger runs in a fresh ledger."""
    project_id = product.open_project(dsn)
    with product.open_committer(dsn) as committer:
        job_id = await product.create_job(committer, project_id)
        return await closed_loop(callers, seconds, lambda: product.trigger(committer, project_id, job_id))


async def floor_appends(dsn: str, callers: int, seconds: float) -> Sample:
    """Append to the floor's tables."""
    with closing(floor.GroupCommit(dsn)) as writer:
        return await closed_loop(callers, seconds, writer.append)


def _sampler(
    side: Callable[[str, int, float], Coroutine[Any, Any, Sample]], dsn: str, callers: int, effort: Effort
) -> Callable[[], Sample]:
    def take() -> Sample:
        # The loop that `runcord serve` runs on.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(side(dsn, callers, effort.seconds))

    return take


def _against_stock(lines: list[Line]) -> Check:
    times = next(line.to_best_peer for line in lines if line.what == f"{AT_CONCURRENCY}{APPENDS}")
    assert times is not None
    return Check(
        what=f"must: at least {MUST_TIMES_STOCK:g} times {stock.NAME} at {AT_CONCURRENCY}{APPENDS}",
        found=f"{times:.1f} times",
        passed=times >= MUST_TIMES_STOCK,
        of_speed=True,
    )
