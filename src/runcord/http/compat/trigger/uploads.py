"""Large packets: uploaded first, and named by their path in the trigger that follows.

An upload is a row for a day. The trigger reads it and keeps what it says, as if it had come along: nothing of a run
depends on the upload afterwards. Whoever uploads or downloads has no credential but the address, which is sealed.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Literal, cast

import orjson

from runcord.clock import unix_now
from runcord.errors import ConfigurationError, Forbidden, Invalid, NotFound
from runcord.http.backend import Backend
from runcord.http.compat.trigger.bodies import TriggerTaskBody
from runcord.http.operation import Call
from runcord.run.packet import STORE
from runcord.sql import load

SQL = load("runcord.sql", "queries/uploads.sql")

LIFE_SECS = 24 * 3600
GRANT_SECS = 3600
LONGEST_PATH = 512
BODY_FACTOR = 4
"""How many times the usual size an upload may have."""

_SEALED_AS = "upload address"

Action = Literal["put", "get"]


@dataclass(frozen=True)
class Grant:
    """What an address allows: one thing to be done with one path of a project."""

    project_id: str
    path: str
    action: Action


def address(call: Call, path: str, action: Action) -> str:
    """Return the address that allows to upload to a path, or to download from it, for an hour."""
    said = orjson.dumps([path, action, unix_now() + GRANT_SECS]).decode()
    sealed = call.backend.sealer.seal(call.project_id, _SEALED_AS, said)
    grant = f"{_encoded(call.project_id.encode())}.{_encoded(sealed)}"
    return str(call.request.url.replace(path=f"/api/v1/uploads/{grant}", query=""))


def read_grant(backend: Backend, text: str) -> Grant:
    """Return what an address allows.

    Raises:
        Forbidden: it was not made here, was changed, or its time is over.
    """
    try:
        project_id, sealed = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split("."))
        project = project_id.decode()
        path, action, ends_at = orjson.loads(backend.sealer.open(project, _SEALED_AS, sealed))
    except (ValueError, binascii.Error, ConfigurationError):
        raise Forbidden("this address allows nothing: ask for another") from None
    if ends_at <= unix_now():
        raise Forbidden("the time of this address is over: ask for another")
    return Grant(project, path, cast(Action, action))


async def keep(backend: Backend, grant: Grant, content_type: str, data: bytes) -> None:
    """Keep an upload for a day. Raises Unavailable."""
    params = {"content_type": content_type, "data": data, "life_secs": LIFE_SECS}
    await backend.touch(SQL["keep"], {"project_id": grant.project_id, "path": grant.path, **params})


async def fetch(backend: Backend, project_id: str, path: str) -> tuple[bytes, str]:
    """Return an upload and its type.

    Raises:
        NotFound: nothing was uploaded to that path, or it was more than a day ago.
    """
    rows = await backend.read(SQL["get"], {"project_id": project_id, "path": path})
    if not rows:
        raise NotFound(f"nothing was uploaded to {path[:128]!r}, or it was more than a day ago")
    return rows[0][0], rows[0][1]


async def inlined(call: Call, body: TriggerTaskBody) -> TriggerTaskBody:
    """Return a trigger with its payload, where it names an upload instead.

    Raises:
        Invalid: there is no such upload, or it is no text.
    """
    options = body.options
    if options is None or options.payloadType != STORE:
        return body
    if not isinstance(body.payload, str):
        raise Invalid(f"a payload of the type {STORE} is the path of an upload")
    try:
        data, content_type = await fetch(call.backend, call.project_id, body.payload)
        text = data.decode()
    except NotFound as error:
        raise Invalid(f"payload: {error.message}") from error
    except UnicodeDecodeError as error:
        raise Invalid("payload: the upload is no text in UTF-8") from error
    return body.model_copy(
        update={"payload": text, "options": options.model_copy(update={"payloadType": content_type})}
    )


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
