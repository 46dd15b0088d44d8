"""The payload and the result of a run, which are not part of its state."""

from typing import Any

import orjson

from runcord.handling.read_ahead import ReadAhead
from runcord.ledger.transaction import Transaction
from runcord.run import events as e
from runcord.run.payload import payload_after
from runcord.sql import load

SQL = load("runcord.sql", "queries/commands.sql")

DOCUMENTS = ReadAhead(SQL["documents"])
"""What a replay copies: for handlers of many replays to prepare."""


def documents(tx: Transaction, run_id: str) -> tuple[Any, Any]:
    """Return the payload and the result of a run as JSON values."""
    payload = result = None
    for row in DOCUMENTS.rows(tx, run_id):
        payload, result = (None if stored is None else orjson.loads(stored) for stored in row)
    # What this very transaction has written is not in the table yet.
    written = [recorded.event for recorded in tx.recorded(run_id)]
    for event in written:
        if isinstance(event, e.Completed):
            result = event.result
    return payload_after(payload, written), result
