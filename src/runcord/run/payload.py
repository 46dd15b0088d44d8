"""The payload of a run as its events make it.

The payload of a batch is an object with the payloads of its triggers, in their order, as `items`. Each event holds
only the item that it adds, so that a history grows with what is added and not with its square.
"""

from collections.abc import Iterable
from typing import Any, cast

from runcord.run import events as e

ITEMS = "items"

PAYLOAD_EVENTS = (e.Triggered, e.Debounced, e.Batched, e.Rescheduled)
"""The events that may change the payload."""


def batch_of(*payloads: e.Json) -> dict[str, e.Json]:
    """Return the payload of a batch."""
    return {ITEMS: list(payloads)}


def replaces_payload(event: e.Event) -> bool:
    """Return whether the event holds a whole payload, whatever the run had before."""
    return isinstance(event, e.Triggered | e.Debounced) or (isinstance(event, e.Rescheduled) and event.payload_replaced)


def payload_after(payload: e.Json, history: Iterable[e.Event]) -> e.Json:
    """Return the payload that a run has after these events, oldest first; it had `payload` before. Total."""
    added: list[e.Json] = []
    for event in history:
        if isinstance(event, e.Batched):
            added.append(event.payload)
        elif isinstance(event, e.Triggered | e.Debounced | e.Rescheduled) and replaces_payload(event):
            payload, added = event.payload, []
    return batch_of(*_items(payload), *added) if added else payload


def _items(payload: e.Json) -> list[e.Json]:
    if isinstance(payload, dict):
        members = cast(dict[str, Any], payload)
        if isinstance(items := members.get(ITEMS), list):
            return cast(list[e.Json], items)
    return [payload]
