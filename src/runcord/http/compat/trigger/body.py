"""Request bodies of Trigger.dev's clients."""

from pydantic import ConfigDict

from runcord.http.operation import Body


class LenientBody(Body):
    """A body of which what we do not know is passed over: clients of many versions send more than we need."""

    model_config = ConfigDict(extra="ignore", strict=True)
