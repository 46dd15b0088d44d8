"""Claims while another transaction stays open, which keeps PostgreSQL from clearing away what claims have left behind.

Two servers have a database each, with the same to do. In one of them somebody has a snapshot and a transaction id and
goes on holding them, as a dump does, or a forgotten session. They are drained in turn until the time is over; what
counts is the second half of it, in which the dead rows of the first half are there.
"""

from contextlib import ExitStack

import psycopg

from runcord.clock import monotonic
from runcord.sql import load
from runcord_bench import bulk
from runcord_bench.database import Databases
from runcord_bench.drain import Crew, Shares, drain
from runcord_bench.report import Check, Line, Report
from runcord_bench.sampling import Effort, Sample, figure
from runcord_bench.server import Server, count_runs, running_server

SQL = load("runcord_bench", "open_transaction.sql")

CREW = Crew("2 workers, 100 at a time", 2, 1, 100)

OPEN_SECS = 60.0
QUICK_OPEN_SECS = 4.0
LEAST_SLICES = 2

MUST_LOSE = 0.10


def measure(databases: Databases, effort: Effort) -> Report:
    """Drain both databases in turn, a slice at a time, as long as the transaction is open."""
    held_dsn = databases.create("held")
    with ExitStack() as stack:
        held = _Drained(stack.enter_context(running_server(held_dsn)))
        free = _Drained(stack.enter_context(running_server(databases.create("free"))))
        for side in (held, free):
            side.drain(effort.runs)  # what is done for the first time is done
        holder = stack.enter_context(psycopg.connect(held_dsn, autocommit=True))
        holder.execute(SQL["begin"])
        holder.execute(SQL["hold"])
        end = monotonic() + (OPEN_SECS if effort.rounds > 1 else QUICK_OPEN_SECS)
        slices: list[tuple[Sample, Sample]] = []
        while len(slices) < LEAST_SLICES or monotonic() < end:
            slices.append((held.drain(effort.runs), free.drain(effort.runs)))
        [(is_open,)] = held.server.conn.execute(SQL["holds"], {"pid": holder.info.backend_pid}).fetchall()
        counted = [side.check() for side in (held, free)]
    later = slices[len(slices) // 2 :]
    line = Line(CREW.what, *(figure(samples) for samples in zip(*later, strict=True)))
    lost = 1 - line.to_floor
    return Report(
        [line],
        [
            Check("the transaction was open to the end", "it was" if is_open else "it was not", is_open),
            *counted,
            Check(f"must: claims lose less than {MUST_LOSE:.0%}", f"{lost:.0%}", lost < MUST_LOSE, of_speed=True),
        ],
        beside="without",
    )


class _Drained:
    """A server that is filled and drained again and again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._shares = Shares()

    def drain(self, runs: int) -> Sample:
        """Trigger so many runs, and return how many a second are taken and completed."""
        server = self.server
        bulk.trigger(server, runs)
        arguments = (str(server.port), server.api_key, "product", str(CREW.workers), str(CREW.at_once))
        sample, taken = drain(CREW, runs, arguments)
        self._shares.runs += runs
        self._shares.given.update(taken)
        return sample

    def check(self) -> Check:
        """Compare who was given what with what is completed."""
        return self._shares.check(count_runs(self.server, "completed"))
