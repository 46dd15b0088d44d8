"""Runs a blocking function in a thread of its own and lets the loop wait for it."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T], name: str) -> T:
    """Return what `function` returns, called in a new daemon thread with this task's context variables.

    Cancelling the wait leaves the thread alone; being a daemon, it does not keep the process from ending, which is
    what a pool's threads would do. `function` must not raise.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(value: T) -> None:
        if not answer.done():
            answer.set_result(value)

    def work() -> None:
        value = context.run(function)
        try:
            loop.call_soon_threadsafe(deliver, value)
        except RuntimeError:  # the loop has ended meanwhile: nobody waits for the value
            pass

    threading.Thread(target=work, name=name, daemon=True).start()
    return await answer
