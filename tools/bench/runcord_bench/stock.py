"""The peer of the appends: the application recorder of the eventsourcing library, as it comes, on its own tables."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from runcord.clock import monotonic
from runcord_bench.load import PAYLOAD, WARM_UP_SECS
from runcord_bench.sampling import Sample

NAME = "eventsourcing's recorder"
MOST_THREADS = 32


@contextmanager
def open_recorder(dsn: str) -> Iterator[PostgresApplicationRecorder]:
    """Open the recorder with a connection for each thread that will use it: none waits for the pool."""
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    with PostgresDatastore(
        parts["dbname"],
        parts.get("host", ""),
        parts.get("port", "5432"),
        parts.get("user", ""),
        parts.get("password", ""),
        pool_size=MOST_THREADS,
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        yield recorder


def append_in_threads(recorder: PostgresApplicationRecorder, threads: int, seconds: float) -> Sample:
    """Append single events of new streams from so many threads and return their rate and latencies."""
    begin = monotonic() + WARM_UP_SECS
    end = begin + seconds
    latencies: list[float] = []
    late: list[float] = []
    interrupted = threading.Event()

    def call() -> None:
        while (started := monotonic()) < end and not interrupted.is_set():
            recorder.insert_events([StoredEvent(uuid.uuid4(), 1, "run.triggered", orjson.dumps(PAYLOAD))])
            ended = monotonic()
            if begin <= started and ended <= end:
                latencies.append(ended - started)
            elif ended > end:
                late.append(ended - started)

    callers = [threading.Thread(target=call) for _ in range(threads)]
    try:
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    except BaseException:
        interrupted.set()
        for caller in callers:
            caller.join()
        raise
    if not latencies:  # as in load.closed_loop
        return Sample(len(late) / (monotonic() - begin), late)
    return Sample(len(latencies) / seconds, latencies)
