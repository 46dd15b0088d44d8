"""The skip view: which events projections pass over."""

from runcord_projections.skip_view.projection import SkipView

__all__ = ["SkipView"]
