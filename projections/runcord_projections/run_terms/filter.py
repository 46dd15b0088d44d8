"""What a caller asks of a list of runs, and the parameters with which it is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runcord.ledger.mapper import to_json
from runcord.run.status import Status
from runcord_projections.run_terms.terms import (
    LARGE,
    batch_term,
    job_term,
    metadata_terms,
    tag_terms,
    terms_of_sought,
    trigger_term,
)

_NOTHING: Any = object()


@dataclass(frozen=True)
class RunFilter:
    """Which runs are meant: those for which everything given holds.

    `tags` and `metadata` are entries that a run has with exactly that value, or with any (None). `payload` is what
    the payload contains, as PostgreSQL's `@>` understands it; leave it out to ask nothing of payloads.
    """

    statuses: Sequence[Status] | None = None
    job_id: str | None = None
    batch_id: str | None = None
    triggered_by: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    metadata: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    payload: Any = _NOTHING

    @property
    def asks_payload(self) -> bool:
        """Whether anything is asked of payloads."""
        return self.payload is not _NOTHING

    def params(self) -> dict[str, Any]:
        """Return the parameters of the statement `page`, beside its project, place and limit."""
        asks_payload = self.asks_payload
        terms = self._terms()
        labels = {"tags": _with_value(self.tags), "metadata": _with_value(self.metadata)}
        return {
            "statuses": [str(status) for status in (Status if self.statuses is None else self.statuses)],
            "any_status": self.statuses is None,
            "job_id": self.job_id,
            "batch_id": self.batch_id,
            "triggered_by": self.triggered_by,
            "labels": _json({kind: entries for kind, entries in labels.items() if entries}),
            "tag_keys": _without_value(self.tags),
            "metadata_keys": _without_value(self.metadata),
            "payload": to_json(self.payload).decode() if asks_payload else None,
            "terms": [*terms, *(terms_of_sought(self.payload) if asks_payload else ())],
            "other_terms": [*terms, LARGE] if asks_payload else [],
        }

    def _terms(self) -> set[int]:
        terms: set[int] = set()
        if self.job_id is not None:
            terms.add(job_term(self.job_id))
        if self.batch_id is not None:
            terms.add(batch_term(self.batch_id))
        if self.triggered_by is not None:
            terms.add(trigger_term(self.triggered_by))
        for terms_of, entries in ((tag_terms, self.tags), (metadata_terms, self.metadata)):
            for key, value in entries.items():
                of_key, of_both = terms_of(key, value or "")
                terms.add(of_key if value is None else of_both)
        return terms


def _with_value(entries: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in entries.items() if value is not None}


def _without_value(entries: Mapping[str, str | None]) -> list[str] | None:
    return [key for key, value in entries.items() if value is None] or None


def _json(entries: Mapping[str, Any]) -> str | None:
    return to_json(entries).decode() if entries else None
