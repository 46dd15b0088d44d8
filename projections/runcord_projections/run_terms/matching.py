"""Whether a run meets a filter: what lists of the present ask PostgreSQL, for runs that are in no table."""

from collections.abc import Mapping
from typing import Any

from runcord.json_text import holds_nul
from runcord.run.state import Run
from runcord_projections.run_terms.containment import contains
from runcord_projections.run_terms.filter import RunFilter


def meets(wanted: RunFilter, run: Run, payload: Any) -> bool:
    """Return whether everything that is asked holds for a run, and for its payload; None is no payload."""
    return (
        (wanted.statuses is None or run.status in wanted.statuses)
        and wanted.job_id in (None, run.job_id)
        and wanted.batch_id in (None, run.batch_id)
        and wanted.triggered_by in (None, run.triggered_by)
        and _has(run.tags, wanted.tags)
        and _has(run.metadata, wanted.metadata)
        and (
            not wanted.asks_payload
            or (payload is not None and contains(payload, wanted.payload) and not holds_nul(payload))
        )
    )


def _has(entries: Mapping[str, Any] | None, wanted: Mapping[str, str | None]) -> bool:
    there = entries or {}
    return all(key in there and value in (None, there[key]) for key, value in wanted.items())
