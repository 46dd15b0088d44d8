"""What every method of Strait's client is expected to do: one scenario each, for both of its forms."""

from .table import SCENARIOS, drives
from . import batches, events, health, jobs, keys, runs, sdk_runs  # noqa: F401, I001  each fills the table

__all__ = ["SCENARIOS", "drives"]
