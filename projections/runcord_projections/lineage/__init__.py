"""Lineage: which run came of which, and how."""

from runcord_projections.lineage.projection import PROJECTION

__all__ = ["PROJECTION"]
