"""Trigger.dev's API: uploading large packets, and downloading them."""

import orjson

from runcord.errors import Invalid, NotFound
from runcord.http.body import read_body
from runcord.http.compat.trigger import answers
from runcord.http.compat.trigger.operation import trigger_operation
from runcord.http.compat.trigger.uploads import BODY_FACTOR, LONGEST_PATH, address, fetch, keep, read_grant
from runcord.http.operation import Answer, Call, RawBody


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
    content_type = call.request.fields.get("content-type", "application/json")[:128]
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


OPERATIONS = (
    trigger_operation(
        "PUT",
        "/api/v2/packets/{packet:path}",
        create_upload,
        "Get an address to upload to",
        scope="jobs:trigger",
        answer=answers.UploadAddress,
    ),
    trigger_operation(
        "PUT",
        "/api/v1/packets/{packet:path}",
        create_upload_of_old,
        "Get an address to upload to, for 3.x",
        scope="jobs:trigger",
        answer=answers.DownloadAddress,
    ),
    trigger_operation(
        "GET",
        "/api/v1/packets/{packet:path}",
        get_download,
        "Get an address to download from",
        scope="runs:read",
        answer=answers.DownloadAddress,
    ),
    trigger_operation(
        "PUT",
        "/api/v1/uploads/{grant}",
        upload_packet,
        "Upload a packet",
        scope=None,
        access="address",
        raw_body=RawBody("application/octet-stream"),
        answer=answers.Nothing,
    ),
    trigger_operation(
        "GET",
        "/api/v1/uploads/{grant}",
        download_packet,
        "Download a packet",
        scope=None,
        access="address",
    ),
)
