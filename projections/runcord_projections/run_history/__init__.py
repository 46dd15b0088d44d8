"""Run history: which status each run had, from which position to which."""

from runcord_projections.run_history.projection import PROJECTION

__all__ = ["PROJECTION"]
