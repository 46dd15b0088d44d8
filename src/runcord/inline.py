"""What every process has its committer keep in step with the ledger: the inline views and projections, all of them.

A process that left one out would write events whose rows are missing for ever.
"""

from collections.abc import Sequence

from runcord.handling.admissions import Admissions
from runcord.handling.dependencies import DependencyWaits
from runcord.handling.event_waits import EventWaits
from runcord.handling.idempotency import IdempotencyKeys
from runcord.ledger.view import InlineProjection, InlineView
from runcord.queue.leases import Leases
from runcord_projections.batch_view import BatchView
from runcord_projections.bulk_view import BulkView
from runcord_projections.job_view import JobView
from runcord_projections.key_view import KeyView
from runcord_projections.run_terms import RunTerms
from runcord_projections.run_view import RunView
from runcord_projections.skip_view import SkipView


def views() -> Sequence[InlineView]:
    """Return the views that commands are decided on."""
    return (RunView(), JobView(), KeyView(), BulkView(), BatchView(), SkipView())


def projections() -> Sequence[InlineProjection]:
    """Return what is derived beside them in the same transaction."""
    return (Leases(), IdempotencyKeys(), EventWaits(), DependencyWaits(), Admissions(), RunTerms())
