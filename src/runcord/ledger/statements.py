"""Running single statements outside of commands."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runcord.ledger.channel import Row

Read = Callable[[bytes, Mapping[str, Any]], Awaitable[list[Row]]]
"""Runs a query and returns its rows."""

Touch = Callable[[bytes, Mapping[str, Any]], Awaitable[list[Row]]]
"""Runs a statement that writes no events, in a transaction of its own, and returns its rows."""
