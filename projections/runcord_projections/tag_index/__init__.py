"""The tag index: how many runs have each tag, by their status, now and at any position."""

from runcord_projections.tag_index.projection import PROJECTION

__all__ = ["PROJECTION"]
