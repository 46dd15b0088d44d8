"""The run view: every run as it is now."""

from runcord_projections.run_view.projection import RunView

__all__ = ["RunView"]
