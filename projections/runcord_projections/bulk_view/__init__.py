"""The bulk view: every bulk operation as it is now."""

from runcord_projections.bulk_view.projection import BulkView

__all__ = ["BulkView"]
