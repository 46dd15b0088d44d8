"""Run snapshots: runs as they were, every so many events."""

from runcord_projections.run_snapshots.projection import PROJECTION

__all__ = ["PROJECTION"]
