"""The worker: register handlers, then run."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import TypeVar

from runcord.client import AsyncClient, Client
from runcord.client.configuration import configure
from runcord.worker.configuration import WorkerConfiguration, checked, new_worker_id
from runcord.worker.handler import Handler, HandlerFunction, handler
from runcord.worker.loop import WorkerLoop

F = TypeVar("F", bound=HandlerFunction)

HANDLER_RETRIES = 4
"""How often a handler's call is repeated, where that is safe, before the handler sees the error."""


class Worker:
    """Take runs of jobs and work on them.

        worker = Worker("http://127.0.0.1:8000", api_key)

        @worker.job("resize")
        async def resize(payload, context):
            await context.progress(50)
            return {"width": payload["width"]}

        worker.run()

    What a handler returns is the run's result. What it raises fails the attempt, which is retried as the job
    says; `Retry`, `Fatal` and `Release` say otherwise. Up to `concurrency` attempts run at once: asynchronous
    handlers on one loop, synchronous ones in a thread each. A handler may be given a run that was already worked on
    (the worker died, the lease was lost): `context.checkpoint` says where to go on.

    Times are in seconds: `lease_secs` is how long a dead worker's runs wait for another, `poll_secs` how long one
    request waits for work, `grace_secs` how long a stop waits for handlers. Raises ConfigurationError without an
    address and key (`RUNCORD_BASE_URL`, `RUNCORD_API_KEY`), ValueError for settings out of range.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        concurrency: int = 8,
        worker_id: str | None = None,
        lease_secs: int = 60,
        poll_secs: float = 20.0,
        grace_secs: float = 30.0,
        queues: Sequence[str] | None = None,
        timeout: float = 30.0,
    ) -> None:
        self.configuration = checked(
            WorkerConfiguration(worker_id or new_worker_id(), concurrency, lease_secs, poll_secs, grace_secs, queues)
        )
        self._handlers: dict[str, Handler] = {}
        connections = concurrency * 3 + 4  # a handler's call, a heartbeat and a release each; poll and settle
        self._new_client = lambda: AsyncClient(
            base_url, api_key, timeout=timeout, retries=HANDLER_RETRIES, connections=connections
        )
        self._new_sync_client = lambda: Client(
            base_url, api_key, timeout=timeout, retries=HANDLER_RETRIES, connections=connections
        )
        configure(base_url, api_key, timeout, HANDLER_RETRIES, connections)  # what is missing shows here already

    def job(self, slug: str) -> Callable[[F], F]:
        """Register the decorated function, unchanged, as the handler of the job with this slug (or id).

        It takes `(payload)` or `(payload, context)`, the context being an AsyncRunContext for an asynchronous
        function and a RunContext for another one. Raises TypeError for any other shape, ValueError for a second
        handler of the same job.
        """

        def register(function: F) -> F:
            if slug in self._handlers:
                raise ValueError(f"The job {slug!r} has a handler already.")
            self._handlers[slug] = handler(slug, function)
            return function

        return register

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then stop gracefully. A second signal ends the grace time at once.

        Call it from the main thread; in another one it works too, but signals do not reach it.
        """
        asyncio.run(self._run_until_signal())

    async def run_async(self, stop_event: asyncio.Event | None = None) -> None:
        """Work until `stop_event` is set, then stop gracefully. Cancelling it leaves runs to their leases."""
        await self._run(stop_event or asyncio.Event(), asyncio.Event())

    async def _run_until_signal(self) -> None:
        stop, hurry = asyncio.Event(), asyncio.Event()

        def on_signal() -> None:
            (hurry if stop.is_set() else stop).set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, on_signal)
            except (NotImplementedError, RuntimeError, ValueError):
                break  # not the main thread, or a platform without them
        await self._run(stop, hurry)

    async def _run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        if not self._handlers:
            raise ValueError("The worker has no handlers: decorate a function with @worker.job(slug).")
        async with self._new_client() as client:
            with self._new_sync_client() as sync_client:
                await WorkerLoop(self.configuration, self._handlers, client, sync_client).run(stop, hurry)
