"""The error tree of Runcord.

Every error that may cross a layer is one small class here: `code` is the stable, machine-readable name
that clients may match on, the docstring's first line is the default message. Only the HTTP layer knows statuses:
it maps the four families below (`Invalid`, `NotFound`, `Conflict`, `Unavailable` …) to them.
"""

from collections.abc import Sequence
from typing import ClassVar


class RuncordError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str | None = None, *, details: Sequence[object] = ()) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details = tuple(details)
        super().__init__(self.message)


class ConfigurationError(RuncordError):
    """The configuration cannot be used."""

    code = "configuration_error"


# --- families -----------------------------------------------------------------------------------------


class Invalid(RuncordError):
    """The request is not valid."""

    code = "validation_failed"


class Unauthenticated(RuncordError):
    """Authentication is required: send `Authorization: Bearer <key>`."""

    code = "authentication_required"


class Forbidden(RuncordError):
    """The credential does not permit this."""

    code = "forbidden"


class ScopeMissing(Forbidden):
    """The scopes of the token do not permit this."""

    code = "scope_missing"


class TokenExpired(Unauthenticated):
    """The token has expired: ask for a new one."""

    code = "token_expired"


class NotFound(RuncordError):
    """There is no such thing in this project."""

    code = "not_found"


class Conflict(RuncordError):
    """The request does not fit the present state."""

    code = "conflict"


class TooLarge(RuncordError):
    """The request body is larger than allowed."""

    code = "body_too_large"


class Unprocessable(RuncordError):
    """The request is well-formed but contradicts an earlier one."""

    code = "unprocessable"


class RateLimited(RuncordError):
    """There is too much of this at once: try again a little later."""

    code = "rate_limited"

    def __init__(
        self, message: str | None = None, *, limit: int | None = None, remaining: int = 0, retry_after_secs: float = 1
    ) -> None:
        super().__init__(message)
        self.limit = limit
        self.remaining = remaining
        self.retry_after_secs = retry_after_secs


class Unavailable(RuncordError):
    """The database is not available just now; try again shortly."""

    code = "service_unavailable"


class TokenSpent(Unprocessable):
    """The token was for one use, and was used: ask for a new one."""

    code = "token_spent"


# --- runs ---------------------------------------------------------------------------------------------


class RunNotFound(NotFound):
    """There is no such run in this project."""

    code = "run_not_found"


class RunNotEnded(NotFound):
    """The run has not ended yet: ask again later."""

    code = "run_not_ended"


class IllegalTransition(Conflict):
    """The run's status does not allow this."""

    code = "illegal_transition"

    def __init__(self, message: str | None = None, *, status: str | None = None) -> None:
        super().__init__(message)
        self.status = status


class StaleAttempt(Conflict):
    """This attempt is no longer the run's current one; nothing was changed."""

    code = "stale_attempt"


class NoFreeSlot(Conflict):
    """The job has as many runs at work as it may have: try again when one of them has ended."""

    code = "no_free_slot"


class EventKeyInUse(Conflict):
    """Another run already waits for this event key."""

    code = "event_key_in_use"


class EventNotFound(NotFound):
    """No run waits, or has waited, for this event key."""

    code = "event_not_found"


class CheckpointNotFound(NotFound):
    """The run has no such checkpoint."""

    code = "checkpoint_not_found"


class LineageTooDeep(Invalid):
    """The chain of continuations has reached its greatest depth."""

    code = "lineage_too_deep"


class TooManyTags(Invalid):
    """The run would have more tags than it may."""

    code = "too_many_tags"


class IdempotencyKeyReused(Unprocessable):
    """This idempotency key was used with a different request."""

    code = "idempotency_key_reused"


# --- jobs ---------------------------------------------------------------------------------------------


class JobNotFound(NotFound):
    """There is no such job in this project."""

    code = "job_not_found"


class JobDisabled(Invalid):
    """The job is disabled; enable it to trigger runs."""

    code = "job_disabled"


class JobSlugTaken(Conflict):
    """Another job of this project has this slug."""

    code = "job_slug_taken"


class JobHasActiveRuns(Conflict):
    """The job still has runs that have not ended."""

    code = "job_has_active_runs"


class JobVersionNotFound(NotFound):
    """The job has no such version."""

    code = "job_version_not_found"


class DependencyNotFound(NotFound):
    """The job has no such dependency."""

    code = "dependency_not_found"


class DependencyExists(Conflict):
    """The job depends on that one already: remove the dependency first to give it another condition."""

    code = "dependency_exists"


class DependencyCycle(Invalid):
    """Jobs would depend on each other in a circle, and none of them would ever run."""

    code = "dependency_cycle"


class JobIsDependedOn(Conflict):
    """Other jobs depend on this one: remove these dependencies first."""

    code = "job_is_depended_on"


class PayloadInvalid(Invalid):
    """The payload does not match the job's payload schema."""

    code = "payload_invalid"


class ResultInvalid(Unprocessable):
    """The result does not match the job's result schema."""

    code = "result_invalid"


class TooManyStreams(RateLimited):
    """The project has as many streams open as it may have: close some, or follow several runs from one place."""

    code = "too_many_streams"


# --- API keys -----------------------------------------------------------------------------------------


class KeyNotActive(Conflict):
    """The API key was rotated or revoked, or has expired: it cannot be rotated any more."""

    code = "key_not_active"


# --- many runs at once --------------------------------------------------------------------------------


class TooManyRuns(Invalid):
    """There are more runs than one request may act on: send `async=true`."""

    code = "too_many_runs"


class NothingToReplay(Conflict):
    """None of the runs is a dead letter that could be replayed."""

    code = "nothing_to_replay"


class BulkOperationNotFound(NotFound):
    """There is no such bulk operation in this project."""

    code = "bulk_operation_not_found"


class BulkOperationEnded(Conflict):
    """The bulk operation has ended."""

    code = "bulk_operation_ended"


class PositionNotReached(Conflict):
    """The project's ledger has not got to that position."""

    code = "position_not_reached"


# --- projections --------------------------------------------------------------------------------------


class ProjectionNotFound(NotFound):
    """There is no such projection."""

    code = "projection_not_found"


class ProjectionBehind(Unavailable):
    """What was asked for is read from a projection that has not come so far yet; try again shortly."""

    code = "projection_behind"


class ProjectionParked(Unavailable):
    """What was asked for is read from a projection that cannot take an event: skip it, or mend the projection."""

    code = "projection_parked"


class ProjectionBuilding(Conflict):
    """A generation of this projection is being built already."""

    code = "projection_building"


class ProjectionNotReady(Conflict):
    """No generation of this projection is ready to take the place of the one that is read."""

    code = "projection_not_ready"


class ProjectionNotParked(Conflict):
    """The projection is not parked there: it has nothing to skip or to try again."""

    code = "projection_not_parked"


class ProjectionIsInline(Conflict):
    """Commands are decided on these rows: they pass over no event."""

    code = "projection_is_inline"


class GenerationNotFound(NotFound):
    """The projection has no such generation."""

    code = "generation_not_found"


class GenerationInUse(Conflict):
    """This generation is the one that is read: it cannot be dropped."""

    code = "generation_in_use"


# --- the ledger ---------------------------------------------------------------------------------------


class UnknownEventType(RuncordError):
    """The ledger holds an event of a type that this version of Runcord does not know."""

    code = "unknown_event_type"


class InternalError(RuncordError):
    """Something went wrong on our side: read back what there is before you send this again."""

    code = "internal_error"
