"""Items of a batch that come as lines of JSON."""

from collections.abc import Sequence
from typing import cast

from runcord.errors import Invalid, TooLarge
from runcord.http.body import parse_json, read_body, validate
from runcord.http.compat.trigger.bodies import MOST_ITEMS, NumberedItemBody
from runcord.http.operation import Call
from runcord.json_text import BLANK

BODY_FACTOR = 16
"""How many times the usual size a body with a batch may have."""


async def numbered_items(call: Call) -> Sequence[NumberedItemBody]:
    """Return the items in a body of lines of JSON; they are read once.

    Raises:
        Invalid: a line is no item.
        TooLarge: there are more lines than a batch may have items.
    """
    state = call.request.state
    if not hasattr(state, "items"):
        settings = call.backend.settings
        raw = await read_body(call.request, settings.max_body_bytes * BODY_FACTOR, settings.request_timeout_secs)
        lines = [line for line in raw.split(b"\n") if line.strip(BLANK)]
        if len(lines) > MOST_ITEMS:
            raise TooLarge(f"a batch has at most {MOST_ITEMS:,} items, these are {len(lines):,}")
        state.items = [
            validate(NumberedItemBody, parse_json(line), f"line {number}") for number, line in enumerate(lines, 1)
        ]
        if not state.items:
            raise Invalid("the body has no items: send one line of JSON for each")
    return cast(Sequence[NumberedItemBody], state.items)
