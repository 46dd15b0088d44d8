"""`decide(command, operation) -> events` for bulk operations. Pure."""

from runcord.bulk import commands as c
from runcord.bulk import events as e
from runcord.bulk.state import BulkOperation
from runcord.errors import BulkOperationEnded, BulkOperationNotFound, IdempotencyKeyReused, Invalid


def decide(command: c.Command, operation: BulkOperation | None) -> tuple[e.Event, ...]:
    """Return the events that `command` causes.

    Any number of processes may work on an operation: what one of them says that another has said already, or that
    comes after the end, causes nothing. A request that is repeated causes nothing either.

    Raises:
        Invalid: the request names no runs, or says in two ways which it means.
        IdempotencyKeyReused: the operation was requested with other words.
        BulkOperationNotFound: there is no such operation.
        BulkOperationEnded: it cannot be cancelled any more.
    """
    if isinstance(command, c.RequestBulk):
        return _request(command.facts, operation)
    if operation is None:
        raise BulkOperationNotFound
    match command:
        case c.StartBulk(total):
            if operation.status != "pending":
                return ()
            started = e.BulkStarted(total)
            return (started,) if total else (started, e.BulkCompleted())
        case c.AdvanceBulk():
            if not operation.is_active or operation.cursor != command.after:
                return ()
            advanced = e.BulkAdvanced(command.cursor, command.outcomes)
            return (advanced, e.BulkCompleted()) if command.is_last else (advanced,)
        case c.CancelBulk():
            if operation.status == "canceled":
                return ()
            if not operation.is_active:
                raise BulkOperationEnded(f"the operation is {operation.status}: there is nothing left to cancel")
            return (e.BulkCanceled(),)
        case c.FailBulk(error):
            return (e.BulkFailed(error),) if operation.is_active else ()


def _request(facts: e.BulkRequested, operation: BulkOperation | None) -> tuple[e.Event, ...]:
    if (facts.run_ids is None) == (facts.filter is None):
        raise Invalid("say which runs: give run_ids or a filter, and not both")
    if facts.run_ids is not None and not facts.run_ids:
        raise Invalid("run_ids: name at least one run")
    if operation is None:
        return (facts,)
    asked = e.BulkRequested(
        operation.action,
        operation.run_ids,
        operation.filter,
        operation.limit,
        operation.reason,
        operation.any_status,
    )
    if asked != facts:
        raise IdempotencyKeyReused(
            f"the idempotency key was used for the bulk operation {operation.operation_id}, which is another: "
            "send the same request, or another key"
        )
    return ()
