"""The key view: every API key as it is now."""

from runcord_projections.key_view.projection import KeyView

__all__ = ["KeyView"]
