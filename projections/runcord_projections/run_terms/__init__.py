"""Run terms: what lists find runs by."""

from runcord_projections.run_terms.filter import RunFilter
from runcord_projections.run_terms.projection import RunTerms

__all__ = ["RunFilter", "RunTerms"]
