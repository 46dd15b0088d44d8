"""Readers that live long outlast a database that is away for a while."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runcord.errors import Unavailable

T = TypeVar("T")

PAUSE_SECS = 0.5


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Return what `read` returns, as soon as the database can be read. Reading twice must do no harm."""
    while True:
        try:
            return await read()
        except Unavailable:
            await asyncio.sleep(PAUSE_SECS)
