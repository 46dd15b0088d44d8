"""What a worker may say about the one run it works on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from runcord.client._async.connection import AsyncConnection
from runcord.client.models import (
    Acknowledgement,
    Checkpoint,
    EventWait,
    Heartbeat,
    Output,
    Run,
    RunEvent,
    StateEntry,
    ToolCall,
    Usage,
)
from runcord.client.request import Request, given, path

T = TypeVar("T")


class AsyncAttempt:
    """Speak for one attempt at a run.

    Every call raises StaleAttemptError, and changes nothing, once the attempt is not the run's current one.
    Checkpoints, logs and progress are sent again when their answer was lost: they may be recorded twice.
    """

    def __init__(
        self, connection: AsyncConnection, run_id: str, token: str | None = None, number: int | None = None
    ) -> None:
        self._connection = connection
        self._token = token
        self._headers = {} if number is None else {"X-Runcord-Attempt": str(number)}
        self.run_id = run_id

    async def payload(self) -> Any:
        """Return the run's payload."""
        return await self._get(object, "payload")

    async def start(self) -> Run:
        """Begin the attempt: dequeued becomes executing."""
        return await self._post(Run, "start")

    async def heartbeat(self, lease_secs: int | None = None) -> Heartbeat:
        """Move the lease, and learn whether somebody wants the attempt to stop."""
        return await self._post(Heartbeat, "heartbeat", given(lease_secs=lease_secs), repeatable=True)

    async def complete(self, result: Any = None, *, output_type: str | None = None) -> Run:
        """End the run as completed."""
        body = given(result=result, output_type=output_type)
        return await self._post(Run, "complete", body, repeatable=True)

    async def fail(
        self,
        error: str | Mapping[str, Any],
        *,
        retryable: bool | None = None,
        retry_after_secs: float | None = None,
    ) -> Run:
        """End the attempt as failed: the run is queued again, becomes a dead letter, or fails for good."""
        body = given(error=error, retryable=retryable, retry_after_secs=retry_after_secs)
        return await self._post(Run, "fail", body)

    async def release(self, reason: str | None = None, *, delay_secs: float | None = None) -> Run:
        """Give the attempt back unharmed: the run is queued again and the attempt is not counted."""
        return await self._post(Run, "release", given(reason=reason, delay_secs=delay_secs))

    async def wait(self, reason: str | None = None, *, until: datetime | None = None) -> Run:
        """Say that the attempt waits for something."""
        return await self._post(Run, "wait", given(reason=reason, until=until))

    async def resume(self) -> Run:
        """Say that the attempt goes on."""
        return await self._post(Run, "resume")

    async def checkpoint(self, state: Any) -> Checkpoint:
        """Record a state from which a later attempt can go on."""
        return await self._post(Checkpoint, "checkpoint", {"state": state}, repeatable=True)

    async def log(self, message: str, *, level: str = "info", data: Any = None) -> RunEvent:
        """Record a log line."""
        return await self._post(RunEvent, "log", given(message=message, level=level, data=data), repeatable=True)

    async def progress(
        self,
        percent: float,
        message: str | None = None,
        *,
        step: str | None = None,
        eta_seconds: float | None = None,
    ) -> RunEvent:
        """Record how far the run is, 0 to 100."""
        body = given(percent=percent, message=message, step=step, eta_seconds=eta_seconds)
        return await self._post(RunEvent, "progress", body, repeatable=True)

    async def stream(self, chunk: str, *, stream_id: str = "default", done: bool = False) -> None:
        """Stream a piece of text to whoever follows the run. It is kept for a while, beside the run's record.

        Not sent again when its answer was lost: readers may miss a piece then, and never see one twice.
        """
        body: dict[str, object] = {"chunk": chunk, "stream_id": stream_id, "done": done}
        await self._post(Acknowledgement, "stream", body)

    async def annotate(self, annotations: Mapping[str, str]) -> Run:
        """Merge `annotations` into the run's metadata."""
        return await self._post(Run, "annotate", {"annotations": dict(annotations)}, repeatable=True)

    async def tag(self, tags: Mapping[str, str]) -> Run:
        """Merge `tags` into the run's tags."""
        return await self._post(Run, "tags", {"tags": dict(tags)}, repeatable=True)

    async def usage(
        self,
        provider: str,
        model: str,
        *,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        total_tokens: int | None = None,
        cost_microusd: int | None = None,
    ) -> Usage:
        """Record what a call of a language model used. The total is the sum unless it is given."""
        body = given(
            provider=provider,
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=total_tokens,
            cost_microusd=cost_microusd,
        )
        return await self._post(Usage, "usage", body)

    async def tool_call(
        self,
        tool_name: str,
        *,
        input: Any = None,
        output: Any = None,
        duration_ms: int | None = None,
        status: str | None = None,
    ) -> ToolCall:
        """Record a call of a tool."""
        body = given(tool_name=tool_name, input=input, output=output, duration_ms=duration_ms, status=status)
        return await self._post(ToolCall, "tool-call", body)

    async def output(self, key: str, value: Any, *, schema: Mapping[str, Any] | None = None) -> Output:
        """Set a named output; with a JSON Schema the server checks the value against it."""
        body = {"output_key": key, "value": value, **given(schema=schema)}
        return await self._post(Output, "output", body, repeatable=True)

    async def set_state(self, key: str, value: Any) -> StateEntry:
        """Set one key of the run's state."""
        return await self._post(StateEntry, "state", {"key": key, "value": value}, repeatable=True)

    async def get_state(self, key: str) -> StateEntry:
        """Return one key of the run's state. Raises NotFoundError."""
        return await self._get(StateEntry, "state", key)

    async def list_state(self) -> list[StateEntry]:
        """Return the run's state by key."""
        return await self._get(list[StateEntry], "state")

    async def delete_state(self, key: str) -> None:
        """Delete one key of the run's state, if it is there."""
        await self._send(Request("DELETE", self._path("state", key), object, repeatable=True))

    async def spawn(self, job_slug: str, payload: Any = None, *, project_id: str, priority: int | None = None) -> Run:
        """Make a child run of another job."""
        body = given(job_slug=job_slug, project_id=project_id, payload=payload, priority=priority)
        return await self._post(Run, "spawn", body)

    async def continue_run(self, payload: Any = None) -> Run:
        """Make the next run of this chain; its payload is this run's unless one is given."""
        return await self._post(Run, "continue", given(payload=payload))

    async def wait_for_event(
        self, event_key: str, *, timeout_secs: int | None = None, notify_url: str | None = None
    ) -> EventWait:
        """Make the run wait for an event; when that comes, the run is queued again."""
        body = given(event_key=event_key, timeout_secs=timeout_secs, notify_url=notify_url)
        return await self._post(EventWait, "wait-for-event", body)

    def _path(self, *segments: str) -> str:
        return path("sdk", "v1", "runs", self.run_id, *segments)

    async def _get(self, answer: type[T], *segments: str) -> T:
        return await self._send(Request("GET", self._path(*segments), answer, repeatable=True))

    async def _post(
        self, answer: type[T], call: str, body: Mapping[str, object] | None = None, *, repeatable: bool = False
    ) -> T:
        return await self._send(Request("POST", self._path(call), answer, body=body or {}, repeatable=repeatable))

    async def _send(self, request: Request[T]) -> T:
        return await self._connection.send(request.spoken_by(self._token, self._headers))
