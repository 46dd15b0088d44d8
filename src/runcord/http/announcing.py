"""Announcing streams: a run says on record which streams it has, so that whoever follows it can find them.

What workers stream is no part of the record, and costs it nothing but one event for each stream, before its first
chunk. Each process remembers what is announced, so that every later chunk costs one look into a set.
"""

from contextlib import suppress

from runcord.errors import Invalid
from runcord.handling.runs import CommandRun
from runcord.http.operation import Call
from runcord.http.run_answers import load_run
from runcord.run.commands import OpenStream
from runcord.run.limits import MAX_STREAMS


async def announce(call: Call, stream_id: str) -> None:
    """Have a stream of the calling worker's run on record. A run that has as many as it may gets none announced.

    Raises:
        RunNotFound, StaleAttempt, IllegalTransition: the run is not there, or the attempt is not at work.
    """
    run_id, known = call.path["run_id"], call.backend.announced
    stream = (call.project_id, run_id, stream_id)
    if stream in known:
        return
    run, _ = await load_run(call)
    if stream_id not in run.streams and len(run.streams) < MAX_STREAMS:
        command = OpenStream(stream_id, call.claim)
        with suppress(Invalid):  # others have announced so many just now
            await call.backend.committer.execute(call.project_id, CommandRun(call.context, run_id, command))
    known.add(stream)
