"""Upcasts: how events of released versions become those of today.

When the shape of an event has to change, its class gets a new name (`run.triggered.v2`), and here stands a pure
function that turns the stored JSON of the old version into that of the next. Stored events are never rewritten.
"""

from collections.abc import Callable, Mapping
from typing import Any

Upcast = Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]
"""Takes the old version's members, returns the next version's name and members."""

UPCASTS: Mapping[str, Upcast] = {}
"""By the stored type name. Version 1 of every event is current, so there is nothing to upcast yet."""
