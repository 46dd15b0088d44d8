"""What a handler knows about its run, and what it may say about it."""

from collections.abc import Mapping
from typing import Any, NoReturn

from runcord.client._async.attempt import AsyncAttempt
from runcord.client.errors import NotFoundError
from runcord.client.models import Checkpoint, Claim, Output, Run, RunEvent, ToolCall, Usage
from runcord.worker.lease import Interruption, StopReason
from runcord.worker.outcome import Cancelled, Suspended


class AsyncRunState:
    """Keep values under keys, across all attempts of the run."""

    def __init__(self, attempt: AsyncAttempt) -> None:
        self._attempt = attempt

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value under `key`, or `default`."""
        try:
            return (await self._attempt.get_state(key)).value
        except NotFoundError:
            return default

    async def all(self) -> dict[str, Any]:
        """Return every key with its value."""
        return {entry.state_key: entry.value for entry in await self._attempt.list_state()}

    async def set(self, key: str, value: Any) -> None:
        """Set the value under `key`."""
        await self._attempt.set_state(key, value)

    async def delete(self, key: str) -> None:
        """Delete `key`, if it is there."""
        await self._attempt.delete_state(key)


class AsyncRunContext:
    """Accompany one attempt at a run.

    `run` is the run as it was taken; `checkpoint` the latest saved state, to go on from (None: begin at the
    beginning), `checkpoint_source` who saved it; `event` what the run has waited for, told to every attempt until a
    checkpoint is saved; `previous_error` what ended the attempt before. Every call raises StaleAttemptError once
    somebody else works on the run.
    """

    def __init__(self, claim: Claim, attempt: AsyncAttempt, interruption: Interruption) -> None:
        self._attempt = attempt
        self._interruption = interruption
        self.run = claim.run
        self.run_id = claim.run.id
        self.attempt = claim.run.attempt
        self.payload = claim.run.payload
        self.previous_error = claim.previous_error
        self.event = claim.event
        self.checkpoint: Any = claim.checkpoint.state if claim.checkpoint else None
        self.checkpoint_source: str | None = claim.checkpoint.source if claim.checkpoint else None
        self.state = AsyncRunState(attempt)

    @property
    def cancelled(self) -> bool:
        """Say whether the handler should stop: what it returns from now on is not reported."""
        return self._interruption.reason is not None

    @property
    def stop_reason(self) -> StopReason | None:
        """Return why the handler should stop: `cancel`, `pause`, `abandoned` (lease lost) or `shutdown`."""
        return self._interruption.reason

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled when the handler should stop: the convenient check for long loops."""
        if self._interruption.reason is not None:
            raise Cancelled(f"Stop working on {self.run_id}: {self._interruption.reason}.")

    async def save_checkpoint(self, state: Any) -> Checkpoint:
        """Record `state`; the next attempt finds it as its `checkpoint`."""
        saved = await self._attempt.checkpoint(state)
        self.checkpoint, self.checkpoint_source = state, saved.source
        return saved

    async def log(self, message: str, level: str = "info", data: Any = None) -> RunEvent:
        """Record a log line."""
        return await self._attempt.log(message, level=level, data=data)

    async def progress(self, percent: float, message: str | None = None) -> RunEvent:
        """Record how far the run is, 0 to 100."""
        return await self._attempt.progress(percent, message)

    async def stream(self, chunk: str, *, stream_id: str = "default", done: bool = False) -> None:
        """Stream a piece of text, such as a model's tokens, to whoever follows the run."""
        await self._attempt.stream(chunk, stream_id=stream_id, done=done)

    async def annotate(self, annotations: Mapping[str, str]) -> Run:
        """Merge `annotations` into the run's metadata."""
        return await self._attempt.annotate(annotations)

    async def tag(self, tags: Mapping[str, str]) -> Run:
        """Merge `tags` into the run's tags."""
        return await self._attempt.tag(tags)

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
        """Record what a call of a language model used."""
        return await self._attempt.usage(
            provider,
            model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=total_tokens,
            cost_microusd=cost_microusd,
        )

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
        return await self._attempt.tool_call(
            tool_name, input=input, output=output, duration_ms=duration_ms, status=status
        )

    async def output(self, key: str, value: Any, *, schema: Mapping[str, Any] | None = None) -> Output:
        """Set a named output of the run."""
        return await self._attempt.output(key, value, schema=schema)

    async def spawn(self, job_slug: str, payload: Any = None, *, priority: int | None = None) -> Run:
        """Make a child run of another job of this project."""
        return await self._attempt.spawn(job_slug, payload, project_id=self.run.project_id, priority=priority)

    async def continue_run(self, payload: Any = None) -> Run:
        """Make the next run of this chain."""
        return await self._attempt.continue_run(payload)

    async def wait_for_event(self, event_key: str, *, timeout_secs: int | None = None) -> NoReturn:
        """Give up the attempt until an event comes. Never returns: the handler ends here, and nothing is reported.

        When the event comes, the run is queued again and the handler starts anew: `event` has the event's key and
        payload. Save what is needed in a checkpoint or in `state` before.
        """
        await self._attempt.wait_for_event(event_key, timeout_secs=timeout_secs)
        self._interruption.set("suspended")
        raise Suspended
