"""What callers say when they trigger runs."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from runcord.handling.admission import Debouncing
from runcord.handling.idempotency import DEFAULT_LIFE_SECS
from runcord.http.models.rules import at_most_one, only_with, ruled
from runcord.http.models.value import (
    MAX_SECS,
    ConcurrencyKey,
    IdempotencyKey,
    Json,
    Metadata,
    PositiveSecs,
    Priority,
    Ref,
    Secs,
    Tags,
    Time,
    WindowKey,
)
from runcord.http.operation import Body

_OVERRIDES = (
    "max_attempts_override",
    "timeout_secs_override",
    "retry_backoff",
    "retry_initial_delay_secs",
    "retry_max_delay_secs",
)


class TriggerItem(Body):
    """One run to be made."""

    model_config = ruled(at_most_one("scheduled_at", "delay_secs", "delay"))

    payload: Json = None
    tags: Tags | None = None
    metadata: Metadata | None = None
    scheduled_at: Time | None = None
    delay_secs: Secs | None = None
    delay: Annotated[Secs | None, Field(description="The same as `delay_secs`.")] = None
    priority: Priority = 0
    ttl_secs: PositiveSecs | None = None
    concurrency_key: ConcurrencyKey | None = None
    idempotency_key: IdempotencyKey | None = None
    idempotency_ttl_secs: PositiveSecs = DEFAULT_LIFE_SECS
    parent_run_id: Ref | None = None
    debug_mode: bool = False
    max_attempts_override: Annotated[int, Field(ge=1, le=100)] | None = None
    timeout_secs_override: PositiveSecs | None = None
    retry_backoff: Literal["exponential", "linear", "fixed", "custom"] | None = None
    retry_initial_delay_secs: Secs | None = None
    retry_max_delay_secs: Secs | None = None

    @model_validator(mode="after")
    def _has_one_time(self) -> "TriggerItem":
        if (self.scheduled_at, self.delay_secs, self.delay).count(None) < 2:
            raise ValueError("give one of scheduled_at, delay_secs and delay, not several")
        return self

    @property
    def seconds_of_delay(self) -> float | None:
        """How long to wait, under whichever name it was given."""
        return self.delay_secs if self.delay_secs is not None else self.delay

    @property
    def overrides(self) -> dict[str, Any] | None:
        """What the run wishes otherwise than its job."""
        if self.model_fields_set.isdisjoint(_OVERRIDES):
            return None
        given = {name: getattr(self, name) for name in _OVERRIDES}
        return {name: value for name, value in given.items() if value is not None} or None


class TriggerBody(TriggerItem):
    """One run to be made, or just to be checked.

    The keys tell the triggers apart that the job's debounce or batch window gathers; a job without such a window has
    no use for them, unless the trigger brings its own: `debounce_window_secs`.
    """

    model_config = ruled(
        at_most_one("scheduled_at", "delay_secs", "delay"),
        only_with("debounce_mode", "debounce_window_secs"),
        only_with("debounce_max_secs", "debounce_window_secs"),
    )

    dry_run: bool = False
    debounce_key: WindowKey = ""
    debounce_window_secs: Annotated[
        float | None,
        Field(ge=1, le=MAX_SECS, description="A debounce window of this trigger's own, instead of the job's."),
    ] = None
    debounce_mode: Annotated[
        Literal["leading", "trailing"] | None,
        Field(description="Which trigger of a burst says what the run is: the first, or the last (`trailing`)."),
    ] = None
    debounce_max_secs: Annotated[
        float | None,
        Field(
            ge=1,
            le=MAX_SECS,
            description="How long after the first trigger of a burst its run is due at the latest: a trigger that "
            "would put it off further begins another burst.",
        ),
    ] = None
    batch_key: WindowKey = ""

    @property
    def debouncing(self) -> Debouncing | None:
        """The debounce window that the trigger brings."""
        if self.debounce_window_secs is None:
            return None
        return Debouncing(self.debounce_window_secs, self.debounce_mode or "trailing", self.debounce_max_secs)

    @model_validator(mode="after")
    def _says_how_to_debounce(self) -> "TriggerBody":
        says_how = self.debounce_mode is not None or self.debounce_max_secs is not None
        if says_how and self.debounce_window_secs is None:
            raise ValueError("debounce_mode and debounce_max_secs need debounce_window_secs: give it too")
        return self


class BulkTriggerBody(Body):
    """Several runs of one job, to be made in one append: all of them or none."""

    items: Annotated[list[TriggerItem], Field(min_length=1, max_length=500)]
