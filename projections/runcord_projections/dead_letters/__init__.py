"""Dead letters: what lies in the dead-letter queue, why, and what became of it."""

from runcord_projections.dead_letters.projection import PROJECTION

__all__ = ["PROJECTION"]
