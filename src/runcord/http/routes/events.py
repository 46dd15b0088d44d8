"""Events: what somebody outside sends to the run that waits for it."""

from runcord.errors import Invalid
from runcord.handling.event_waits import EventWait, SendEvent
from runcord.http.models.answers import EventTrigger
from runcord.http.models.event import SentEvent
from runcord.http.operation import Answer, Call, Operation

_MAX_KEY = 512


async def send_event(call: Call) -> Answer:
    """Send an event to the run that waits for its key; the run is queued again and its next attempt is given it.

    The same event, sent again, is taken as heard.
    """
    key = call.path["event_key"]
    if len(key) > _MAX_KEY or not key.isprintable():
        raise Invalid(f"an event key has 1 to {_MAX_KEY} printable characters")
    handler = SendEvent(call.context, key, call.body(SentEvent).payload)
    committed = await call.backend.committer.execute(call.project_id, handler)
    wait: EventWait = committed.value
    members = {
        "id": wait.trigger_id,
        "event_key": wait.event_key,
        "project_id": call.project_id,
        "source_type": "job_run",
        "trigger_type": "event",
        "job_run_id": wait.run_id,
        "status": wait.status,
    }
    if wait.payload is not None:
        members["response_payload"] = wait.payload
    return Answer(members, position=committed.position)


OPERATIONS = (
    Operation(
        "POST",
        "/v1/events/{event_key:path}/send",
        send_event,
        "Send an event",
        "events",
        "events:send",
        ("runs:write",),
        body=SentEvent,
        answer=EventTrigger,
    ),
)
