"""What callers say about API keys."""

from typing import Annotated

from pydantic import Field

from runcord.http.models.value import Name, Ref
from runcord.http.operation import Body


class NewApiKey(Body):
    """An API key to be made."""

    project_id: Ref | None = None
    name: Name
    scopes: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=64)]],
        Field(min_length=1, max_length=32, description='What the key may do; `["*"]` for everything.'),
    ]
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
