"""What callers say when they send an event."""

from runcord.http.models.value import Json
from runcord.http.operation import Body


class SentEvent(Body):
    """An event for the run that waits for it."""

    payload: Json = None
