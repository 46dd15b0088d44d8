"""Job statistics: how the runs of each job did, hour by hour."""

from runcord_projections.job_statistics.projection import PROJECTION

__all__ = ["PROJECTION"]
