"""Running the application: uvicorn, one process or several, and how they stop."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from types import FrameType
from typing import Any

import psycopg
import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from runcord import faults
from runcord.errors import ConfigurationError, RuncordError, Unavailable
from runcord.http.app import create_app
from runcord.http.document import exchange_of
from runcord.http.endpoint import refuse, request_id_of
from runcord.http.protocol import BoundedConfig
from runcord.http.request import Request
from runcord.logs import configure_logging, current_request
from runcord.settings import load_settings

log = structlog.stdlib.get_logger(__name__)

WAITERS_SECS = 2.0
"""How long a request may still run once the server is to stop. Commands take milliseconds; what is left then waits
for something (a long poll) and is told to try elsewhere."""

GRACE_SECS = 10
KEEP_ALIVE_SECS = 65
"""Longer than the usual 60 s of load balancers, so that it is they who close idle connections."""

BACKLOG = 2048

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """What SIGINT and SIGTERM mean to a process: the first asks it to stop, the second ends it at once.

    The first calls `stop`, which raises KeyboardInterrupt in the main thread until somebody sets it otherwise.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], None] = _interrupt
        self._received = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            os._exit(128 + number)
        self._received = True
        self.stop()

    @contextlib.contextmanager
    def handled(self) -> Generator["StopSignals"]:
        """Handle the signals in the block; for the main thread."""
        before = {number: signal.signal(number, self._handle) for number in _STOP_SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _interrupt() -> None:
    raise KeyboardInterrupt


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be listened on; its cause is the system's error.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"Cannot listen on {host} port {port}: {error.strerror or error}") from error


def base_url(host: str, listening: socket.socket) -> str:
    """Return the URL under which this machine reaches the server."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    bracketed = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{bracketed}:{listening.getsockname()[1]}"


def run(app: ASGIApp, listening: socket.socket, signals: StopSignals, *, head_secs: float) -> None:
    """Serve in this process until a signal asks to stop; then finish what is under way and close in order.

    `head_secs` is how long the head of a request may take to arrive.

    Raises:
        RuncordError: the application did not start.
    """
    draining = Draining(app)
    try:
        _Server(_config(draining, head_secs), signals).run(sockets=[listening])
    except SystemExit:  # uvicorn's way to say that the start failed
        raise _start_failure(draining.failure) from draining.failure


def run_workers(listening: socket.socket, workers: int, *, head_secs: float) -> None:
    """Serve with several processes, each with a backend of its own, until a signal asks to stop.

    The processes read their settings from the environment. One that dies is replaced.

    Raises:
        Unavailable: a process did not start; it has logged why.
    """
    processes = _Processes(_config("runcord.http.server:app_from_environment", head_secs, workers), [listening])
    processes.run()
    if any(process.exitcode == STARTUP_FAILURE for process in processes.processes):
        raise Unavailable("A server process did not start: its log says why.")


def app_from_environment() -> ASGIApp:
    """Return the application of one of several server processes."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    faults.arm_from_environment()
    if settings.database_url is None:
        raise ConfigurationError("DATABASE_URL is not set.")
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    return Draining(create_app(settings, settings.database_url.get_secret_value()))


class Draining:
    """Lets requests that wait end when the server is asked to stop, so that no long poll holds it up.

    From then on, who asks whether the client is still there hears that it is not, and what still runs after
    `WAITERS_SECS` is cancelled and answered 503: try again, elsewhere or shortly. A command that was accepted
    is carried out all the same.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._stopping = asyncio.Event()
        self._waiting: set[asyncio.Timeout] = set()
        """Of who waits for a client to go away: each ends when it is time."""
        self._running: set[asyncio.Task[Any]] = set()
        self.failure: BaseException | None = None
        """Why the application did not start."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Live, or answer a request."""
        if scope["type"] == "http":
            return self._answer(scope, receive, send)
        if scope["type"] == "lifespan":
            return self._live(scope, receive, send)
        return self._app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def shortened(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self.failure = sys.exception()
                message = {**message, "message": ""}  # a traceback; who started the server says it in a line
            elif message["type"] == "lifespan.startup.complete":
                # Modules and models stay: looking through them again and again would hold up requests.
                gc.collect()
                gc.freeze()
            await send(message)

        with self._hearing_signals():
            await self._app(scope, receive, shortened)

    @contextlib.contextmanager
    def _hearing_signals(self) -> Generator[None]:
        """Hear of the signals beside the server, which has no hook for applications that wait."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        servers = {number: signal.getsignal(number) for number in _STOP_SIGNALS}

        def hear(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop, loop)
            handler = servers[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in _STOP_SIGNALS:
            signal.signal(number, hear)
        try:
            yield
        finally:
            for number, handler in servers.items():
                signal.signal(number, handler)

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            for waiting in self._waiting:
                if not waiting.expired():
                    waiting.reschedule(loop.time())
            loop.call_later(WAITERS_SECS, self._cancel_waiters)

    def _cancel_waiters(self) -> None:
        for task in self._running:
            task.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        current_request.set(scope)
        task = asyncio.current_task()
        assert task is not None
        exchange = exchange_of(scope)
        heard_all = begun = False

        async def receive_or_stop() -> Message:
            nonlocal heard_all
            if heard_all or (exchange is not None and exchange.is_heard):
                return await self._disconnect(receive)
            message = await receive()
            heard_all = message["type"] == "http.request" and not message.get("more_body", False)
            return message

        async def note_and_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        def is_answered() -> bool:
            return begun or (exchange is not None and exchange.is_answered)

        self._running.add(task)
        try:
            await self._app(scope, receive_or_stop, note_and_send)
        except asyncio.CancelledError:
            if is_answered() or not self._stopping.is_set():
                raise
            task.uncancel()
        finally:
            self._running.discard(task)
        if self._stopping.is_set() and not is_answered():
            await self._turn_away(scope, receive, send)

    async def _disconnect(self, receive: Receive) -> Message:
        """Wait until the client is gone, or might as well be; without a task, as very many may wait."""
        if self._stopping.is_set():
            return {"type": "http.disconnect"}
        waiting = asyncio.timeout(None)
        try:
            async with waiting:
                self._waiting.add(waiting)
                return await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        finally:
            self._waiting.discard(waiting)

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send) -> None:
        reason = Unavailable("the server is shutting down; try another, or again shortly")
        response = refuse(reason, request_id_of(Request(scope, receive, send)), 503)
        response.headers["connection"] = "close"
        await response(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn's server with our signals, which it would otherwise raise again after a clean stop."""

    def __init__(self, config: uvicorn.Config, signals: StopSignals) -> None:
        super().__init__(config)
        self._signals = signals

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        self._signals.stop = self._stop
        yield

    def _stop(self) -> None:
        self.should_exit = True


class _Processes(Multiprocess):
    """uvicorn's processes, which a second signal ends at once."""

    def join_all(self) -> None:
        for process in self.processes:
            while process.process.is_alive():
                if self.signal_queue:
                    process.process.kill()
                process.process.join(0.1)


def _config(app: ASGIApp | str, head_secs: float, workers: int = 1) -> uvicorn.Config:
    return BoundedConfig(
        app,
        head_secs=head_secs,
        factory=isinstance(app, str),
        workers=workers,
        interface="asgi3",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECS,
        timeout_graceful_shutdown=GRACE_SECS,
    )


def _start_failure(cause: BaseException | None) -> RuncordError:
    match cause:
        case RuncordError():
            return cause
        case psycopg.Error() | OSError():
            return Unavailable(f"The server did not start: {str(cause).strip().splitlines()[0]}")
        case _:
            return RuncordError(f"The server did not start: {cause!r}")


def _end_with_parent() -> None:
    """Stop this process when the one that started it is gone, or it would keep the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
