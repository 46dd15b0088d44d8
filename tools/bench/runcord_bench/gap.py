"""The gap test: a reader that goes by its cursor alone sees every event once and in order, while others append."""

import asyncio
from contextlib import ExitStack

from eventsourcing.persistence import Notification

from runcord.clock import monotonic
from runcord.ledger.recorder import LedgerRecorder
from runcord_bench import product
from runcord_bench.process import Process, running_modules
from runcord_bench.report import Check
from runcord_bench.sampling import Effort

PROCESSES = 2
WHAT = "gap test: a reader at its cursor, two processes with four writers each"

_PAGE = 500
_LATEST_SECS = 30.0


def check(dsn: str, effort: Effort) -> Check:
    """Append from two processes, follow meanwhile, and compare what was acknowledged with what was seen."""
    project_id = product.open_project(dsn)
    with product.open_committer(dsn) as committer:
        job_id = asyncio.run(product.create_job(committer, project_id))
    with ExitStack() as stack:
        recorder = stack.enter_context(LedgerRecorder(dsn, project_id))
        arguments = (dsn, project_id, job_id, str(effort.seconds))
        processes = stack.enter_context(running_modules("gap_writer", *arguments, count=PROCESSES))
        for process in processes:
            process.begin()
        seen, acknowledged = _follow(recorder, processes, effort.seconds)
    return verdict(seen, acknowledged)


def _follow(recorder: LedgerRecorder, processes: list[Process], seconds: float) -> tuple[list[Notification], set[str]]:
    """Read at the cursor until the writers have ended, and once more."""
    seen: list[Notification] = []
    cursor = 0
    deadline = monotonic() + seconds + _LATEST_SECS
    writing = monotonic() + seconds
    acknowledged: set[str] = set()
    while True:
        page = recorder.select_notifications(cursor, _PAGE, inclusive_of_start=False)
        seen.extend(page)
        if page:
            cursor = page[-1].id
        elif monotonic() > writing and not acknowledged:
            # From here on nothing more is appended: what a page leaves out now is left out for ever.
            acknowledged = {run_id for process in processes for run_id in process.read(_LATEST_SECS)}
        elif acknowledged:
            return seen, acknowledged
        if monotonic() > deadline:
            raise TimeoutError("the reader did not come to the ledger's end")


def verdict(seen: list[Notification], acknowledged: set[str]) -> Check:
    """Compare what the reader saw, in its order, with the runs that were acknowledged."""
    positions = [notification.id for notification in seen]
    triggered = [str(n.originator_id) for n in seen if n.topic == "run.triggered.v1"]
    lost = len(acknowledged - set(triggered))
    doubled = len(triggered) - len(set(triggered))
    in_order = positions == list(range(1, len(positions) + 1))
    return Check(
        what=WHAT,
        found=f"{len(acknowledged):,} acknowledged, {len(positions):,} positions read "
        f"{'in order without a hole' if in_order else 'OUT OF ORDER OR WITH HOLES'}, {lost} missed, {doubled} doubled",
        passed=in_order and lost == 0 and doubled == 0 and bool(acknowledged),
    )
