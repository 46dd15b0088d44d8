"""Settings of a job that say what becomes of its triggers, and how they go together. 0 turns one off, as None does."""

from collections.abc import Mapping
from typing import Any

from runcord.errors import Invalid
from runcord.job.state import Job, JobSettings
from runcord.run.trigger_events import WindowKind

NAMES = frozenset(
    {
        "rate_limit_max",
        "rate_limit_window_secs",
        "dedup_window_secs",
        "debounce_window_secs",
        "batch_window_secs",
        "batch_max_size",
    }
)

BOTH_HOLD_BACK = (
    "a job has either dependencies or a debounce or batch window, not both: each of them says when a run may begin"
)


def window_of(settings: JobSettings) -> WindowKind | None:
    """Return the kind of window that gathers the job's triggers."""
    if settings.debounce_window_secs:
        return "debounce"
    return "batch" if settings.batch_window_secs else None


def check_controls(job: Job, given: Mapping[str, Any]) -> None:
    """Check the settings of a job as they are with those `given` just now; a job is not blamed for older ones.

    Raises:
        Invalid: two exclude each other, or one has no effect without another.
    """
    if not NAMES & given.keys():
        return
    settings = job.settings
    if window_of(settings) is not None and job.dependencies:
        raise Invalid(BOTH_HOLD_BACK)
    if settings.debounce_window_secs and settings.batch_window_secs:
        raise Invalid("give either debounce_window_secs or batch_window_secs, not both: unset one with null")
    if bool(settings.rate_limit_max) != bool(settings.rate_limit_window_secs):
        raise Invalid("a rate limit needs both rate_limit_max and rate_limit_window_secs: give both, or null for both")
    if settings.batch_max_size and not settings.batch_window_secs:
        raise Invalid("batch_max_size needs batch_window_secs: give both, or null for both")
