"""Debug mode: what reaches a run is put on its own record, with what was decided and how long that took.

A command is written down when its handler is done, whatever became of it, so that the record also holds the commands
that were refused and left nothing else behind.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from runcord.clock import monotonic
from runcord.errors import RuncordError
from runcord.ledger.mapper import to_json, to_members
from runcord.ledger.transaction import Transaction
from runcord.run import commands as c
from runcord.run import events as e
from runcord.run.state import Run

MAX_DEBUGGED = 1000
"""How many commands are written down in a run's life; the later ones are not."""
MAX_MEMBER_BYTES = 16 * 1024
"""Larger members of a command, as JSON, are left out of its record: what was accepted of them is in its events."""


@contextmanager
def watch(tx: Transaction, run_id: str, command: c.Command) -> Generator[None]:
    """Put `command` on the run's record if the run is in debug mode, with what becomes of it in this block.

    Blocks about the same command may be nested: the outermost counts.
    """
    run = tx.state(run_id)
    if not isinstance(run, Run) or not run.debug_mode or run.debugged >= MAX_DEBUGGED:
        yield
        return
    watched = tx.memory("watched commands", list[c.Command])
    if any(command is other for other in watched):
        yield
        return
    watched.append(command)
    start, before = monotonic(), len(tx.recorded(run_id))
    refusal: RuncordError | None = None
    try:
        yield
    except RuncordError as error:
        refusal = error
        raise
    finally:
        watched.pop()
        recorded = () if refusal else tuple(one.event.TYPE for one in tx.recorded(run_id)[before:])
        _write_down(tx, run_id, command, start, recorded, refusal)


def begun(tx: Transaction, run: Run, command: c.Trigger) -> None:
    """Put the trigger of a run that begins in debug mode on its record."""
    if run.debug_mode:
        _write_down(tx, run.run_id, command, monotonic(), (command.facts.TYPE,), None)


def _write_down(
    tx: Transaction, run_id: str, command: c.Command, start: float, recorded: tuple[str, ...], own: RuncordError | None
) -> None:
    received = tx.context.received
    decided_us = _us(monotonic() - start)

    def record(outer: RuncordError | None) -> None:
        if not isinstance(tx.state(run_id), Run):
            return  # the run itself was taken back
        refusal = own or outer
        event = e.Debugged(
            command=type(command).__name__,
            input=_input(command),
            events=() if refusal else recorded,
            refusal=None if refusal is None else e.Refusal(refusal.code, refusal.message),
            waited_us=None if received is None else _us(start - received),
            decided_us=decided_us,
        )
        tx.record(run_id, event)

    tx.afterwards(record)


def _input(command: c.Command) -> dict[str, Any]:
    return {name: _bounded(value) for name, value in to_members(command).items()}


def _bounded(value: Any) -> Any:
    size = len(to_json(value))
    return value if size <= MAX_MEMBER_BYTES else {"left_out_bytes": size}


def _us(secs: float) -> int:
    return max(0, round(secs * 1_000_000))
