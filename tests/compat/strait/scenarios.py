"""What every method of Strait's client is expected to do: one scenario each, for both of its forms."""

from . import (
    methods_of_batches,
    methods_of_events,
    methods_of_health,
    methods_of_jobs,
    methods_of_keys,
    methods_of_runs,
    methods_of_sdk_runs,
)
from .table import SCENARIOS

MODULES = (
    methods_of_batches,
    methods_of_events,
    methods_of_health,
    methods_of_jobs,
    methods_of_keys,
    methods_of_runs,
    methods_of_sdk_runs,
)
"""Importing them has filled the table."""

__all__ = ["MODULES", "SCENARIOS"]
