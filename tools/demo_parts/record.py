"""Reads a round back through the HTTP API: every run, every event, and the ledger that has them all in one order."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from demo_parts.round import Round, runs_of
from runcord.client import Client, HistoryEvent, LedgerEvent, Run

READERS = 4


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """Hold a run with its whole history."""

    run: Run
    history: Sequence[HistoryEvent]

    @property
    def name(self) -> str:
        """Return the name of the run's file."""
        return str(self.run.payload["name"])

    def events(self, kind: str) -> list[HistoryEvent]:
        """Return its events of one kind, whatever their version: `run.retried`."""
        return [event for event in self.history if event.type.rpartition(".v")[0] == kind]

    @property
    def retries(self) -> int:
        """Return how many of its attempts ended without ending it."""
        return len(self.events("run.retried"))

    def taken_over_from(self, workers: Sequence[str]) -> bool:
        """Say whether one of the workers died with it, and another worker took it then."""
        holder, lost = None, False
        for event in self.history:
            kind = event.type.rpartition(".v")[0]
            if kind == "run.dequeued":
                holder = event.data["worker_id"]
                if lost and holder not in workers:
                    return True
            elif kind == "run.retried" and event.data.get("cause") == "crash":
                lost = lost or holder in workers
        return False


@dataclass(frozen=True, slots=True)
class Record:
    """Hold what the server says of a round."""

    runs: Sequence[RecordedRun]
    ledger: Sequence[LedgerEvent]
    """All events of the project, from the first of these runs' to the last."""

    @property
    def events(self) -> Iterator[HistoryEvent]:
        """Yield all events of all runs."""
        return (event for recorded in self.runs for event in recorded.history)

    @property
    def dead_letters(self) -> list[RecordedRun]:
        """Return the dead letters by the names of their files."""
        return sorted((one for one in self.runs if one.run.status == "dead_letter"), key=lambda one: one.name)

    def taken_over(self, workers: Sequence[str]) -> list[RecordedRun]:
        """Return the runs that another worker took when one of these had died with them."""
        return [one for one in self.runs if one.taken_over_from(workers)]

    def rate(self, since: datetime) -> float:
        """Return events per second, over those recorded from `since` on."""
        times = sorted(event.recorded_at for event in self.events if event.recorded_at >= since)
        seconds = (times[-1] - times[0]).total_seconds() if times else 0.0
        return len(times) / seconds if seconds else 0.0


def read_record(client: Client, round_: Round) -> Record:
    """Return the round as the server tells it."""
    runs = list(runs_of(client, round_))
    with ThreadPoolExecutor(READERS) as readers:
        histories = readers.map(lambda run: client.runs.history(run.id, page_size=100).collect(), runs)
        recorded = [RecordedRun(run, history) for run, history in zip(runs, histories, strict=True)]
    places = [event.position for one in recorded for event in one.history]
    if not places:
        return Record(recorded, [])
    events = client.ledger.events(after=min(places) - 1)
    return Record(recorded, list(takewhile(lambda event: event.position <= max(places), events)))
