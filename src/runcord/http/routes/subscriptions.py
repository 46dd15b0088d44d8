"""Subscriptions: runs as they change, each frame the run after an event."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from runcord.errors import Invalid, JobNotFound
from runcord.http.models.run import JobRun
from runcord.http.models.subscription import SelectQuery, SubscribeQuery
from runcord.http.operation import Answer, Call, Operation, Target, TokenAccess
from runcord.http.run_answers import load_run, shown_run
from runcord.http.selecting import selection, tag
from runcord.http.sse import MEDIA_TYPE, frames, last_event_id
from runcord.http.targets import run_in_path as the_run
from runcord.key import token_scopes as scopes
from runcord.key.token_scopes import Resource
from runcord.run.state import Run
from runcord.streaming.events import last_position
from runcord.streaming.run_updates import Subscription
from runcord.streaming.selection import Selection
from runcord.streaming.versions import Version


async def subscribe_to_run(call: Call) -> Answer:
    """Subscribe to a run: it as it is, then as each event leaves it, each a frame of server-sent events.

    A frame is the run as `GET /v1/runs/{run_id}` answers it; its `id` is the position of the event. Whoever sends the
    last one back, as `Last-Event-ID` or `after`, goes on exactly there; `after=0` begins with the run's first event.
    With `coalesce=true`, a reader that is behind is sent the latest version alone. When the run is finished (a dead
    letter too) and was sent as it is, the stream ends with the comment `: end`; one that ends without it was cut.
    """
    query = call.query(SubscribeQuery)
    run, row = await load_run(call)
    after = await _place(call, query)
    told = run if after is not None and row[3] <= after else None
    return _subscription(call, Selection(run_id=run.run_id), after, query.coalesce, told)


async def subscribe(call: Call) -> Answer:
    """Subscribe to the runs that meet all conditions given: as they are, then as each event leaves them.

    Frames are as for one run, in the order of the ledger. A run comes in when it meets the conditions (it is given the
    tag, say), and is sent after each event that leaves it so. First come the runs as they are, then the changes; with
    `after`, the changes since that position alone. Such a stream has no end: one that ends was cut.

    A tag without a colon stands for its key with any value; with a public token, for its key without a value.
    """
    query = call.query(SelectQuery)
    job_id = None if query.job is None else await call.backend.job_refs.find(call.project_id, query.job)
    selected = selection(
        # A token's scope names a tag whole.
        tags=[tag(text, any_value=call.public is None) for text in query.tag or ()],
        job_id=job_id,
        batch_id=query.batch,
        statuses=query.status,
    )
    return _subscription(call, selected, await _place(call, query), query.coalesce, None)


async def _place(call: Call, query: SubscribeQuery) -> int | None:
    """Return the position after which the caller wants to begin, None for the present state.

    Raises:
        Invalid: it is none, or lies beyond the last one that there is.
    """
    place = last_event_id(call.request)
    place = query.after if place is None else place
    if place is not None:
        last = await last_position(call.backend.read, call.project_id)
        if place > last:
            raise Invalid(f"{place} is beyond the last position of the project's ledger ({last})")
    return place


def _subscription(call: Call, selected: Selection, after: int | None, coalesce: bool, told: Run | None) -> Answer:
    backend, project_id = call.backend, call.project_id
    backend.stream_slots.require(project_id)

    @asynccontextmanager
    async def source() -> AsyncGenerator[_Frames]:
        with backend.stream_slots.taken(project_id):
            async with backend.run_updates.subscribe(project_id, selected, after=after, coalesce=coalesce) as opened:
                if told is not None:
                    opened.last = told
                yield _Frames(opened, call)

    return Answer(source=source)


class _Frames:
    """A subscription as frames of server-sent events."""

    def __init__(self, subscription: Subscription, call: Call) -> None:
        self._subscription = subscription
        self._call = call

    def listen(self, wake: Callable[[], None] | None) -> None:
        """Call `wake` when something has come to be read."""
        self._subscription.listen(wake)

    @property
    def has_news(self) -> bool:
        """Whether there may be something to read."""
        return self._subscription.has_news

    @property
    def is_over(self) -> bool:
        """Whether the one run that is subscribed to is finished, and was read as it is."""
        subscription = self._subscription
        return (
            subscription.selection.run_id is not None
            and not subscription.has_news
            and subscription.last is not None
            and subscription.last.is_finished
        )

    async def read(self) -> bytes:
        """Return the next frames. Raises as a subscription does."""
        versions: Sequence[Version] = await self._subscription.read()
        return b"".join(_frame(version, self._call) for version in versions)


def _frame(version: Version, call: Call) -> bytes:
    """Return the frame of a version, made once for all who may see as much of it."""
    form = ",".join(("sse", *sorted(call.hidden)))
    made = version.rendered.get(form)
    if made is None:
        run = shown_run(call, version.run, version.payload, version.result)
        made = version.rendered[form] = frames([(version.position, run)])
    return made


async def runs_of_conditions(call: Call) -> AsyncIterator[Resource]:
    """Yield what a subscription to several runs is about: all conditions hold, so that any one narrows it."""
    query = call.query(SelectQuery)
    for resource in scopes.of_tags(query.tag or ()):
        yield resource
    if query.batch is not None:
        yield scopes.of_batch(query.batch)[0]
    if query.job is not None:
        with suppress(JobNotFound):
            job = await call.backend.job_refs.job(call.project_id, query.job)
            yield scopes.of_list([job.settings.slug])[1]
    yield scopes.of_list()[1]


def _operation(path: str, handle: Any, summary: str, query: type[SubscribeQuery], target: Target) -> Operation:
    return Operation(
        "GET",
        path,
        handle,
        summary,
        "runs",
        "runs:read",
        tokens=TokenAccess("read", target, hides=True),
        query=query,
        answer=JobRun,
        media_type=MEDIA_TYPE,
    )


OPERATIONS = (
    _operation("/v1/runs/{run_id}/subscribe", subscribe_to_run, "Subscribe to a run", SubscribeQuery, the_run),
    _operation("/v1/subscribe", subscribe, "Subscribe to runs", SelectQuery, runs_of_conditions),
)
