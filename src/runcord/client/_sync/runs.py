# Made from _async/runs.py by tools/generate_client.py: edit that file.
"""Calls about runs: what they are, what they were, and what an operator may do with them."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from runcord import clock
from runcord.client._sync.connection import Connection
from runcord.client._sync.pager import Pager
from runcord.client._sync.stream import EventStream
from runcord.client.errors import RunNotFinishedError
from runcord.client.models import (
    Acknowledgement,
    Checkpoint,
    DependencyStatus,
    Family,
    HistoryEvent,
    KeyReset,
    Output,
    Run,
    RunDiff,
    RunEvent,
    RunStats,
    StateEntry,
    StreamChunk,
    StreamEvent,
    ToolCall,
    Usage,
)
from runcord.client.request import QueryValue, Request, encode, entries, given, path

T = TypeVar("T")


class Runs:
    """Read runs, and cancel, replay, pause, resume, restart or reschedule them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(
        self, run_id: str, *, version: int | None = None, position: int | None = None, at: datetime | None = None
    ) -> Run:
        """Return the run as it is, or as it was: in a version, at a position of the ledger, or at a time.

        Raises:
            NotFoundError: there is no such run, or was none then.
        """
        query = {"version": version, "position": position, "at": _time(at)}
        return self._connection.send(Request("GET", path("v1", "runs", run_id), Run, query=query, repeatable=True))

    def diff(self, run_id: str, *, since: int | None = None, to: int | None = None) -> RunDiff:
        """Return what the events between two versions made of the run; by default, what the last event did."""
        query = {"from": since, "to": to}
        return self._connection.send(
            Request("GET", path("v1", "runs", run_id, "diff"), RunDiff, query=query, repeatable=True)
        )

    def list(
        self,
        *,
        status: str | None = None,
        statuses: Iterable[str] | None = None,
        job_id: str | None = None,
        triggered_by: str | None = None,
        batch_id: str | None = None,
        tag_key: str | None = None,
        tag_value: str | None = None,
        tags: Mapping[str, str] | None = None,
        metadata_key: str | None = None,
        metadata_value: str | None = None,
        metadata: Mapping[str, str] | None = None,
        payload_contains: Any = None,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Pager[Run]:
        """Iterate over the project's runs that meet all conditions given, newest first.

        A key alone asks for runs that have it, whatever its value. `payload_contains` is any JSON value but null.
        With a position of the ledger, or a time: the runs that met them then, as they were.
        """
        query: dict[str, QueryValue] = {
            "status": status,
            "statuses": None if statuses is None else ",".join(statuses),
            "job_id": job_id,
            "triggered_by": triggered_by,
            "batch_id": batch_id,
            "tag_key": tag_key,
            "tag_value": tag_value,
            **entries("tags", tags),
            "metadata_key": metadata_key,
            "metadata_value": metadata_value,
            **entries("metadata", metadata),
            "payload_contains": None if payload_contains is None else encode(payload_contains).decode(),
            "position": position,
            "at": _time(at),
            "limit": page_size,
            "cursor": cursor,
        }
        return self._pager(Run, query=query)

    def list_dlq(
        self,
        *,
        job_id: str | None = None,
        triggered_by: str | None = None,
        batch_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        payload_contains: Any = None,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Pager[Run]:
        """Iterate over the dead letters that meet all conditions given, newest first.

        With a position of the ledger, or a time: those of then, as they were.
        """
        query: dict[str, QueryValue] = {
            "job_id": job_id,
            "triggered_by": triggered_by,
            "batch_id": batch_id,
            **entries("tags", tags),
            **entries("metadata", metadata),
            "payload_contains": None if payload_contains is None else encode(payload_contains).decode(),
            "position": position,
            "at": _time(at),
            "limit": page_size,
            "cursor": cursor,
        }
        return self._pager(Run, "dlq", query=query)

    def stats(self, *, job_id: str | None = None) -> RunStats:
        """Count the project's runs, or those of one job, by status."""
        request = Request("GET", path("v1", "runs", "stats"), RunStats, query={"job_id": job_id}, repeatable=True)
        return self._connection.send(request)

    def history(
        self,
        run_id: str,
        *,
        types: Sequence[str] = (),
        actor: str | None = None,
        request_id: str | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> Pager[HistoryEvent]:
        """Iterate over what was recorded of the run, in order: all of it, or what was of some types, by one actor, or
        in one request.
        """
        wanted = {"types": list(types) or None, "actor": actor, "request_id": request_id}
        query = {**wanted, "limit": page_size, "cursor": cursor}
        return self._pager(HistoryEvent, run_id, "history", query=query)

    def children(self, run_id: str, *, page_size: int | None = None) -> Pager[Run]:
        """Iterate over the runs that this run has spawned, oldest first."""
        return self._pager(Run, run_id, "children", query={"limit": page_size})

    def lineage(
        self,
        run_id: str,
        *,
        position: int | None = None,
        at: datetime | None = None,
        page_size: int | None = None,
    ) -> Pager[Run]:
        """Iterate over the run's whole chain of continuations, from its root on; now, or as it was at a moment."""
        query: dict[str, QueryValue] = {"position": position, "at": at, "limit": page_size}
        return self._pager(Run, run_id, "lineage", query=query)

    def family(
        self,
        run_id: str,
        *,
        direction: Literal["ancestors", "descendants", "all"] | None = None,
        kinds: Iterable[str] | None = None,
        depth: int | None = None,
        position: int | None = None,
        at: datetime | None = None,
    ) -> Family:
        """Return the graph around the run: what it came of, and what came of it, or of the first that it came of.

        `kinds` are the edges to follow: child, continuation, replay, and restart and dead_letter_replay, which are of
        a run by itself. With a position of the ledger, or a time: as it was then.

        Raises:
            NotFoundError: there is no such run, or was none then.
        """
        query: dict[str, QueryValue] = {
            "direction": direction,
            "kinds": None if kinds is None else ",".join(kinds),
            "depth": depth,
            "position": position,
            "at": at,
        }
        target = path("v1", "runs", run_id, "family")
        return self._connection.send(Request("GET", target, Family, query=query, repeatable=True))

    def events(
        self, run_id: str, *, level: str | None = None, type: str | None = None, page_size: int | None = None
    ) -> Pager[RunEvent]:
        """Iterate over messages, oldest first: log lines, progress, and commands in debug mode (`type="debug"`)."""
        query = {"level": level, "type": type, "limit": page_size}
        return self._pager(RunEvent, run_id, "events", query=query)

    def checkpoints(self, run_id: str, *, page_size: int | None = None) -> Pager[Checkpoint]:
        """Iterate over the run's checkpoints, latest first."""
        return self._pager(Checkpoint, run_id, "checkpoints", query={"limit": page_size})

    def outputs(self, run_id: str, *, page_size: int | None = None) -> Pager[Output]:
        """Iterate over the run's outputs by key."""
        return self._pager(Output, run_id, "outputs", query={"limit": page_size})

    def usage(self, run_id: str, *, page_size: int | None = None) -> Pager[Usage]:
        """Iterate over the run's uses of language models, newest first."""
        return self._pager(Usage, run_id, "usage", query={"limit": page_size})

    def tool_calls(self, run_id: str, *, page_size: int | None = None) -> Pager[ToolCall]:
        """Iterate over the run's tool calls, newest first."""
        return self._pager(ToolCall, run_id, "tool-calls", query={"limit": page_size})

    def state(self, run_id: str) -> dict[str, Any]:
        """Return the run's state: every key with its value."""
        entries = self._connection.send(
            Request("GET", path("v1", "runs", run_id, "state"), list[StateEntry], repeatable=True)
        )
        return {entry.state_key: entry.value for entry in entries}

    def cancel(self, run_id: str) -> Run:
        """Cancel the run and what it has spawned. Raises ConflictError or ValidationError when it has ended."""
        return self._connection.send(Request("DELETE", path("v1", "runs", run_id), Run))

    def replay(self, run_id: str, *, from_checkpoint: int | None = None) -> Run:
        """Make a new run from an ended one, beginning anew or from the state of a checkpoint (its sequence)."""
        request = Request("POST", path("v1", "runs", run_id, "replay"), Run, query={"from_checkpoint": from_checkpoint})
        return self._connection.send(request)

    def dlq_replay(self, run_id: str) -> Run:
        """Queue a dead letter again, under its own id. Raises ConflictError when it is none."""
        return self._command(run_id, "dlq-replay")

    def pause(self, run_id: str) -> Run:
        """Stop the run's attempt and keep the run from being taken."""
        return self._command(run_id, "pause")

    def resume(self, run_id: str) -> Run:
        """Queue a paused run again."""
        return self._command(run_id, "resume")

    def restart(self, run_id: str, *, machine_preset: str | None = None) -> Run:
        """Stop the run's attempt, if any, and queue the run again."""
        return self._command(run_id, "restart", given(machine_preset=machine_preset))

    def reschedule(self, run_id: str, scheduled_at: datetime, *, payload: Any = None) -> Run:
        """Move a run that was never started to another time, with another payload if one is given."""
        return self._command(run_id, "reschedule", given(scheduled_at=scheduled_at, payload=payload))

    def debug(self, run_id: str, enabled: bool = True) -> None:
        """Switch the run's debug mode."""
        self._connection.send(
            Request(
                "POST",
                path("v1", "runs", run_id, "debug"),
                Acknowledgement,
                body={"debug_mode": enabled},
                repeatable=True,
            )
        )

    def dependencies(self, run_id: str) -> DependencyStatus:
        """Tell what the run's job depends on, and whether all of it holds for this run."""
        target = path("v1", "runs", run_id, "dependency-status")
        return self._connection.send(Request("GET", target, DependencyStatus, repeatable=True))

    def reset_idempotency_key(self, run_id: str) -> None:
        """Release the run's idempotency key, so that the next trigger with it makes a new run."""
        target = path("v1", "runs", run_id, "idempotency-key")
        self._connection.send(Request("DELETE", target, KeyReset, repeatable=True))

    def stream(self, run_id: str, *, after: int = 0, patience: float = 60.0) -> EventStream[StreamEvent]:
        """Follow the run: iterate over its whole history, or what comes after an id, then over what is recorded.

        Ends when the run is finished. A lost connection is made again without loss or repetition; an error is
        raised when that did not succeed for `patience` seconds.
        """
        request = Request("GET", path("v1", "runs", run_id, "stream"), StreamEvent)
        return EventStream(self._connection, request, after, patience)

    def subscribe(
        self, run_id: str, *, after: int | None = None, coalesce: bool = False, patience: float = 60.0
    ) -> EventStream[Run]:
        """Iterate over the run as it is now, then as each event leaves it; with `coalesce`, the latest where it lags.

        With `after`, a position: over what came after it, from the first event on with 0. Ends when the run is
        finished. A lost connection is made again without loss or repetition; an error is raised when that did not
        succeed for `patience` seconds.
        """
        request = Request("GET", path("v1", "runs", run_id, "subscribe"), Run, query={"coalesce": _yes(coalesce)})
        return EventStream(self._connection, request, after, patience)

    def subscribe_to_tag(
        self,
        *tags: str,
        job: str | None = None,
        batch_id: str | None = None,
        statuses: Iterable[str] | None = None,
        after: int | None = None,
        coalesce: bool = False,
        patience: float = 60.0,
    ) -> EventStream[Run]:
        """Iterate over the runs that have the tags (`key:value`, or `key` for any value), as `subscribe` does.

        First come those that there are, as they are now; then every run after each event that leaves it with all of the
        tags, and of the job, of the batch and in one of the statuses, where these are given. Never ends.
        """
        query: dict[str, QueryValue] = {
            "tag": list(tags) or None,
            "job": job,
            "batch": batch_id,
            "status": None if statuses is None else ",".join(statuses),
            "coalesce": _yes(coalesce),
        }
        return EventStream(self._connection, Request("GET", path("v1", "subscribe"), Run, query=query), after, patience)

    def stream_chunks(
        self, run_id: str, *, stream_id: str | None = None, after: int = 0, patience: float = 60.0
    ) -> EventStream[StreamChunk]:
        """Follow what the run's workers stream, all of it or one `stream_id`, as `stream` does."""
        target = path("v1", "runs", run_id, "stream", "chunks")
        request = Request("GET", target, StreamChunk, query={"stream_id": stream_id})
        return EventStream(self._connection, request, after, patience)

    def chunks(self, run_id: str, *, stream_id: str | None = None, page_size: int | None = None) -> Pager[StreamChunk]:
        """Iterate over what the run's workers have streamed so far, in order, as far as it is kept."""
        return self._pager(StreamChunk, run_id, "chunks", query={"stream_id": stream_id, "limit": page_size})

    def wait(self, run_id: str, timeout: float = 60.0) -> Run:
        """Return the run as soon as it has finished. Raises RunNotFinishedError after `timeout` seconds.

        The run is asked for after 0.1 s, then ever less often, at least every 2 s.
        """
        deadline = clock.monotonic() + timeout
        interval = 0.1
        while not (run := self.get(run_id)).finished:
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                raise RunNotFinishedError(f"Run {run_id} is still {run.status} after {timeout:g} s.")
            time.sleep(min(interval, remaining))
            interval = min(interval * 1.5, 2.0)
        return run

    def _command(self, run_id: str, verb: str, body: dict[str, object] | None = None) -> Run:
        return self._connection.send(Request("POST", path("v1", "runs", run_id, verb), Run, body=body or {}))

    def _pager(self, item: type[T], *segments: str, query: Mapping[str, QueryValue]) -> Pager[T]:
        target = path("v1", "runs", *segments)
        return Pager(self._connection, Request("GET", target, item, query=query, repeatable=True))


def _yes(given: bool) -> bool | None:
    return given or None


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
