"""What every process has its committer keep in step with the ledger: the inline views and projections, all of them.

A process that left one out would write events whose rows are missing for ever.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from runcord.handling.admissions import Admissions
from runcord.handling.dependencies import DependencyWaits
from runcord.handling.event_waits import EventWaits
from runcord.handling.idempotency import IdempotencyKeys
from runcord.ledger.view import InlineProjection, InlineView
from runcord.projecting.rebuildable import Rebuildable, RowsOfStreams
from runcord.queue.leases import Leases
from runcord_projections.batch_view import BatchView
from runcord_projections.bulk_view import BulkView
from runcord_projections.job_view import JobView
from runcord_projections.job_view.projection import SQL as JOBS
from runcord_projections.key_view import KeyView
from runcord_projections.run_terms import RunTerms
from runcord_projections.run_terms.rebuild import FiledTerms
from runcord_projections.run_view import RunView
from runcord_projections.skip_view import SkipView


def views() -> Sequence[InlineView]:
    """Return the views that commands are decided on."""
    return (RunView(), JobView(), KeyView(), BulkView(), BatchView(), SkipView())


def projections() -> Sequence[InlineProjection]:
    """Return what is derived beside them in the same transaction."""
    return (Leases(), IdempotencyKeys(), EventWaits(), DependencyWaits(), Admissions(), RunTerms())


@cache
def rebuildables() -> Mapping[str, Rebuildable]:
    """Return what of these can be rebuilt from the log, by name; the others are no more than places in a queue."""
    found = (
        _view(RunView(), "runs", "run_id"),
        # Its statements also tell the ledger's head that dependencies have changed.
        _view(JobView(), "jobs", "job_id", "ledger_heads", after_healing=JOBS["dependencies_changed"]),
        _view(KeyView(), "api_keys", "key_id"),
        _view(BulkView(), "bulk_operations", "operation_id"),
        _view(BatchView(), "batches", "batch_id"),
        _view(SkipView(), "projection_skips", "projection_id"),
        # Terms that were added later are filed at the positions of their runs, so these are rebuilt along with them.
        Rebuildable("run_terms", 1, RunView(), (RunView(), RunTerms()), ("runs", "run_terms"), FiledTerms()),
    )
    return MappingProxyType({one.name: one for one in found})


def _view(view: Any, table: str, key: str, *other_tables: str, after_healing: bytes | None = None) -> Rebuildable:
    rows = RowsOfStreams(table, key)
    return Rebuildable(view.name, view.version, view, (view,), (table, *other_tables), rows, after_healing)
