"""Trigger.dev's API: uploading large packets, and downloading them."""

from typing import Any

import orjson

from runcord.errors import Invalid, NotFound
from runcord.http.body import read_body
from runcord.http.compat.trigger import answers
from runcord.http.compat.trigger.dialect import TRIGGER
from runcord.http.compat.trigger.uploads import BODY_FACTOR, LONGEST_PATH, address, fetch, keep, read_grant
from runcord.http.operation import Answer, Call, Operation


async def create_upload(call: Call) -> Answer:
    """Answer the address to which a packet can be uploaded, and the path by which a trigger names it then."""
    path = _path(call)
    return Answer({"presignedUrl": address(call, path, "put"), "storagePath": path})


async def create_upload_of_old(call: Call) -> Answer:
    """Answer the address to which a packet can be uploaded, for the clients of 3.x."""
    return Answer({"presignedUrl": address(call, _path(call), "put")})


async def get_download(call: Call) -> Answer:
    """Answer the address from which an uploaded packet can be downloaded."""
    path = _path(call)
    await fetch(call.backend, call.project_id, path)
    return Answer({"presignedUrl": address(call, path, "get")})


async def upload_packet(call: Call) -> Answer:
    """Take an upload, to an address that was answered before; it is kept for a day."""
    grant = read_grant(call.backend, call.path["grant"])
    if grant.action != "put":
        raise NotFound("this address is for a download")
    settings = call.backend.settings
    data = await read_body(call.request, settings.max_body_bytes * BODY_FACTOR, settings.request_timeout_secs)
    content_type = call.request.headers.get("content-type", "application/json")[:128]
    await keep(call.backend, grant, content_type, data)
    return Answer({})


async def download_packet(call: Call) -> Answer:
    """Send a packet that was uploaded, with the type that it came with and nothing else."""
    grant = read_grant(call.backend, call.path["grant"])
    if grant.action != "get":
        raise NotFound("this address is for an upload")
    data, content_type = await fetch(call.backend, grant.project_id, grant.path)
    return Answer(orjson.Fragment(data), headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def _path(call: Call) -> str:
    path = call.path["packet"]
    if not 0 < len(path) <= LONGEST_PATH:
        raise Invalid(f"the path of a packet has 1 to {LONGEST_PATH} characters")
    return path


def _about(method: str, path: str, **options: Any) -> dict[str, Any]:
    return {"method": method, "path": path, "tag": "trigger.dev", "dialect": TRIGGER, **options}


OPERATIONS = (
    Operation(
        **_about("PUT", "/api/v2/packets/{packet:path}", scope="jobs:trigger"),
        handle=create_upload,
        summary="Get an address to upload to",
        answer=answers.UploadAddress,
    ),
    Operation(
        **_about("PUT", "/api/v1/packets/{packet:path}", scope="jobs:trigger"),
        handle=create_upload_of_old,
        summary="Get an address to upload to, for 3.x",
        answer=answers.DownloadAddress,
    ),
    Operation(
        **_about("GET", "/api/v1/packets/{packet:path}", scope="runs:read"),
        handle=get_download,
        summary="Get an address to download from",
        answer=answers.DownloadAddress,
    ),
    Operation(
        **_about("PUT", "/api/v1/uploads/{grant}", access="public"),
        handle=upload_packet,
        summary="Upload a packet",
        answer=answers.Nothing,
    ),
    Operation(
        **_about("GET", "/api/v1/uploads/{grant}", access="public"),
        handle=download_packet,
        summary="Download a packet",
    ),
)
