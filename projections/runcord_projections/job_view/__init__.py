"""The job view: every job as it is now."""

from runcord_projections.job_view.projection import JobView

__all__ = ["JobView"]
