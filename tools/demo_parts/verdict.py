"""Holds what the server recorded against what had to happen, file by file and event by event."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

from demo_parts.files import SourceFile
from demo_parts.parsing import measure
from demo_parts.record import Record, RecordedRun
from demo_parts.round import MAX_ATTEMPTS

Expected = dict[str, int] | tuple[str, str]
"""The counts of a file, or type and text of the error that it is refused with."""


def problems(record: Record, files: Sequence[SourceFile], killed: Sequence[str]) -> list[str]:
    """Return what did not happen as it had to, in sentences; nothing when all is well."""
    return [*_runs(record, files), *_ends(record), *_events(record), *_takeover(record, killed)]


def _runs(record: Record, files: Sequence[SourceFile]) -> list[str]:
    """Every file has one run."""
    counts = Counter(one.name for one in record.runs)
    missing = [file.name for file in files if file.name not in counts]
    doubled = [name for name, count in counts.items() if count > 1]
    return [
        *([f"{len(missing)} files have no run: {_some(missing)}."] if missing else []),
        *([f"{len(doubled)} files have more than one run: {_some(doubled)}."] if doubled else []),
    ]


def _ends(record: Record) -> list[str]:
    """Every run ended, and as the file itself demands in this interpreter: no other dead letters, no other counts."""
    found: list[str] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), context, _leave_interrupts_to_the_demo) as processes:
        payloads = [(one.run.payload["path"], one.name) for one in record.runs]
        expectations = processes.map(_expected, payloads, chunksize=20)
        for one, expected in zip(record.runs, expectations, strict=True):
            if (problem := _end(one, expected)) is not None:
                found.append(f"{one.name} ({one.run.id}): {problem}.")
    return found


def _end(one: RecordedRun, expected: Expected) -> str | None:
    run = one.run
    if isinstance(expected, dict):
        if run.status != "completed":
            return f"the file parses, and the run is {run.status} ({run.error})"
        return None if run.result == expected else f"the result should be {expected}, and is {run.result}"
    if run.status != "dead_letter":
        return f"the file does not parse ({expected[1]}), and the run is {run.status}"
    if (run.error_class, run.error) != expected:
        return f"the error should be {expected}, and is {(run.error_class, run.error)}"
    retries = (MAX_ATTEMPTS - 1) * run.round  # a dead letter that somebody has replayed begins another round
    if one.retries != retries:
        return f"it should have been retried {retries} times, and was {one.retries} times"
    return None


def _expected(file: tuple[str, str]) -> Expected:
    path, name = file
    try:
        return measure(Path(path).read_bytes(), name)
    except (SyntaxError, ValueError) as error:
        return type(error).__qualname__, str(error).replace("\0", "�")


def _leave_interrupts_to_the_demo() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _events(record: Record) -> list[str]:
    """Versions count 1, 2, 3 … in every run; the ledger has no hole, and has what the runs' histories have."""
    found: list[str] = []
    for one in record.runs:
        versions = [event.version for event in one.history]
        if versions != list(range(1, (one.run.version or 0) + 1)):
            found.append(f"{one.name} ({one.run.id}) is at version {one.run.version}; its history has {versions}.")
    positions = [event.position for event in record.ledger]
    holes = [(before, after) for before, after in pairwise(positions) if after != before + 1]
    if holes:
        found.append(f"The ledger's positions are not 1 apart in {len(holes)} places: {_some(holes)}.")
    ids = {one.run.id for one in record.runs}
    told = {(one.run.id, event.version, event.position) for one in record.runs for event in one.history}
    kept = {(event.stream_id, event.version, event.position) for event in record.ledger if event.stream_id in ids}
    if told != kept:
        found.append(
            f"The ledger and the runs' histories differ in {len(told ^ kept)} events: {_some(sorted(told ^ kept))}."
        )
    return found


def _takeover(record: Record, killed: Sequence[str]) -> list[str]:
    if not killed:
        return ["No worker was killed: no run was seen executing in time."]
    if not record.taken_over(killed):
        return [f"No run of {', '.join(killed)}, which was killed, was taken over by another worker."]
    return []


def _some(items: Sequence[object]) -> str:
    return ", ".join(str(item) for item in items[:5]) + (" …" if len(items) > 5 else "")
