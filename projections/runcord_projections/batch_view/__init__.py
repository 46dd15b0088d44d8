"""The batch view: every bulk trigger."""

from runcord_projections.batch_view.projection import BatchView

__all__ = ["BatchView"]
