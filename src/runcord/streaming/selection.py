"""Which runs a subscription is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runcord.run.state import Run
from runcord.run.status import Status

Spelling = tuple[str, str | None]
"""A tag's key, and its value; None for any."""

IndexKey = tuple[str | None, ...]
"""What runs are sorted by, so that each is held against the few selections that may want it."""


@dataclass(frozen=True)
class WantedTag:
    """One tag that a run must have. Its text may stand for several: `a:b` is a key, or a key and a value."""

    spellings: tuple[Spelling, ...]
    terms: tuple[int, ...] = ()
    """What a run that has, or once had, any of them is filed under (see `runcord_projections.run_terms`)."""

    def is_on(self, tags: Mapping[str, str]) -> bool:
        """Return whether `tags` have it, in one of its spellings."""
        return any(key in tags and value in (None, tags[key]) for key, value in self.spellings)


@dataclass(frozen=True)
class Selection:
    """The runs for which everything given holds, as they are just then; of an empty one, all runs of the project."""

    run_id: str | None = None
    tags: tuple[WantedTag, ...] = ()
    job_id: str | None = None
    batch_id: str | None = None
    statuses: frozenset[Status] | None = None
    created_since: datetime | None = None
    lists: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
    """Parameters of `find_runs` that together find all runs selected, and perhaps others."""

    def has(self, run: Run) -> bool:
        """Return whether a run is selected."""
        return (
            self.run_id in (None, run.run_id)
            and self.job_id in (None, run.job_id)
            and self.batch_id in (None, run.batch_id)
            and (self.statuses is None or run.status in self.statuses)
            and (self.created_since is None or run.created_at >= self.created_since)
            and all(tag.is_on(run.tags or {}) for tag in self.tags)
        )

    @property
    def index_keys(self) -> tuple[IndexKey, ...]:
        """What a run must have one of to be selected; the rarest thing that is asked for."""
        if self.run_id is not None:
            return (("run", self.run_id),)
        if self.batch_id is not None:
            return (("batch", self.batch_id),)
        if self.tags:
            return tuple({("tag", *spelling): None for spelling in self.tags[0].spellings})
        if self.job_id is not None:
            return (("job", self.job_id),)
        return (ANY,)

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters with which statements find runs that are selected at some time, and perhaps others."""
        return {
            "job_id": self.job_id,
            "batch_id": self.batch_id,
            # Two of each: a term twice is as good as once.
            "terms": [tag.terms[0] for tag in self.tags],
            "other_terms": [tag.terms[-1] for tag in self.tags],
        }


ANY: IndexKey = ("any",)


def index_keys_of(run: Run) -> Iterable[IndexKey]:
    """Return all keys under which selections may be found that have this run."""
    yield ANY
    yield "run", run.run_id
    yield "job", run.job_id
    if run.batch_id is not None:
        yield "batch", run.batch_id
    for key, value in (run.tags or {}).items():
        yield "tag", key, value
        yield "tag", key, None
