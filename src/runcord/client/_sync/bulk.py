# Made from _async/bulk.py by tools/generate_client.py: edit that file.
"""Calls about many runs at once: within the request, or as operations in the background."""

import secrets
import time
from collections.abc import Sequence
from typing import Literal, Unpack

from runcord import clock
from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client.errors import BulkNotFinishedError
from runcord.client.models import (
    BulkAccepted,
    BulkCanceled,
    BulkOperation,
    BulkOutcome,
    BulkReplayed,
    BulkRequeued,
    BulkTargets,
    Run,
)
from runcord.client.options import RunChoice
from runcord.client.request import Request, given, path

Action = Literal["cancel", "replay", "dlq_replay"]


class Bulk:
    """Act on many runs. They are named by `run_ids`, or chosen by what all of them have in common.

    A choice without a status means: of a cancel, what has not ended; of a replay, what failed, timed out, crashed or
    failed through the system; of `dlq_replay`, dead letters.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def cancel(
        self, run_ids: Sequence[str] | None = None, *, reason: str | None = None, **choice: Unpack[RunChoice]
    ) -> BulkCanceled:
        """Cancel up to 100 runs named or 1,000 chosen, each with what it has spawned, and tell what became of each."""
        body = _which("cancel", run_ids, choice) | given(reason=reason)
        return self._connection.send(Request("POST", _path("cancel"), BulkCanceled, body=body))

    def replay(self, run_ids: Sequence[str] | None = None, **choice: Unpack[RunChoice]) -> BulkReplayed:
        """Make new runs of up to 100 ended ones, and tell what became of each."""
        body = _which("replay", run_ids, choice)
        query = {"envelope": True}
        return self._connection.send(Request("POST", _path("replay"), BulkReplayed, query=query, body=body))

    def dlq_replay(
        self, run_ids: Sequence[str] | None = None, *, limit: int | None = None, **choice: Unpack[RunChoice]
    ) -> list[Run]:
        """Queue up to 500 dead letters again, the oldest first, and return them. Raises ConflictError if it is none."""
        body = _which("dlq_replay", run_ids, choice) | given(limit=limit)
        request = Request("POST", _path("dlq_replay"), BulkRequeued, body=body)
        return (self._connection.send(request)).replayed

    def count(
        self,
        action: Action,
        run_ids: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        **choice: Unpack[RunChoice],
    ) -> BulkTargets:
        """Return how many runs an action would be about, and the first of them; nothing is changed."""
        body = _which(action, run_ids, choice) | given(limit=limit) | {"dry_run": True}
        return self._connection.send(Request("POST", _path(action), BulkTargets, body=body, repeatable=True))

    def start(
        self,
        action: Action,
        run_ids: Sequence[str] | None = None,
        *,
        limit: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
        **choice: Unpack[RunChoice],
    ) -> str:
        """Begin an operation in the background, on any number of runs, and return its id.

        `limit` is for `dlq_replay`, `reason` for `cancel`. The same key with the same request is the same operation.
        """
        body = _which(action, run_ids, choice) | given(limit=limit, reason=reason) | {"async": True}
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(16)}
        request = Request("POST", _path(action), BulkAccepted, body=body, headers=headers, repeatable=True)
        return (self._connection.send(request)).request_id

    def get(self, operation_id: str) -> BulkOperation:
        """Return the operation, with how far it has come. Raises NotFoundError."""
        return self._connection.send(
            Request("GET", path("v1", "bulk-operations", operation_id), BulkOperation, repeatable=True)
        )

    def list(self, *, page_size: int | None = None) -> Pager[BulkOperation]:
        """Iterate over the project's operations, newest first."""
        target, query = path("v1", "bulk-operations"), {"limit": page_size}
        return Pager(self._connection, Request("GET", target, BulkOperation, query=query, repeatable=True))

    def results(self, operation_id: str, *, page_size: int | None = None) -> Pager[BulkOutcome]:
        """Iterate over what has become of the operation's runs so far."""
        target, query = path("v1", "bulk-operations", operation_id, "results"), {"limit": page_size}
        return Pager(self._connection, Request("GET", target, BulkOutcome, query=query, repeatable=True))

    def stop(self, operation_id: str) -> BulkOperation:
        """Stop the operation where it is. Raises ConflictError when it has ended."""
        target = path("v1", "bulk-operations", operation_id, "cancel")
        return self._connection.send(Request("POST", target, BulkOperation, body={}, repeatable=True))

    def wait(self, operation_id: str, timeout: float = 60.0) -> BulkOperation:
        """Return the operation as soon as it has ended. Raises BulkNotFinishedError after `timeout` seconds."""
        deadline = clock.monotonic() + timeout
        interval = 0.1
        while not (operation := self.get(operation_id)).finished:
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                raise BulkNotFinishedError(f"Operation {operation_id} is still {operation.status} after {timeout:g} s.")
            time.sleep(min(interval, remaining))
            interval = min(interval * 1.5, 2.0)
        return operation


def _path(action: Action) -> str:
    return path("v1", "runs", f"bulk-{action.replace('_', '-')}")


def _which(action: Action, run_ids: Sequence[str] | None, choice: RunChoice) -> dict[str, object]:
    """Return the members of a body that say which runs. Raises ValueError when nothing or both is said."""
    chosen = given(**choice)
    if action == "dlq_replay" and run_ids is None:
        return {"status": "dead_letter"} | chosen  # without a choice, all there are
    if (run_ids is None) == (not chosen):
        raise ValueError("Give either run_ids or what the runs have in common.")
    return {"filter": chosen} if run_ids is None else {"run_ids": [*run_ids]}
