"""`runcord dev`: a whole server from one command, with a database of its own."""

import errno
import json
import math
import os
import shlex
import shutil
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from runcord import clock
from runcord.cli.output import errors
from runcord.cli.state import CREDENTIALS, SERVER, read_facts, write_private
from runcord.errors import ConfigurationError

if TYPE_CHECKING:
    from runcord.settings import Settings

DEFAULT_PROJECT = "proj_dev"
EXAMPLE_JOB = "hello"

_PATIENCE_SECS = 10.0


@dataclass(frozen=True)
class Access:
    """Who may use a dev server."""

    project_id: str
    api_key: str


def dev(
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on [env: RUNCORD_HOST].")] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=0, max=65535, help="0 takes a free one [env: RUNCORD_PORT]. Unless given, 8787 or a free one."
        ),
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option("--state-dir", help="Where its data lies [env: RUNCORD_STATE_DIR].")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object on stdout once the server is ready.")
    ] = False,
) -> None:
    """Start a server with an embedded PostgreSQL, in the foreground, until SIGTERM or SIGINT.

    Its data and API key are kept in the state directory; any number of servers run side by side on their own.
    """
    from runcord.settings import load_settings

    settings = load_settings(host=host, port=port, state_dir=state_dir)
    directory = settings.state_dir.expanduser().resolve()

    from runcord import faults
    from runcord.dispatch.addresses import LOOPBACK
    from runcord.embedded import EmbeddedPostgres
    from runcord.http import server
    from runcord.http.app import create_app
    from runcord.logs import configure_logging
    from runcord.sql import migrate

    if settings.dispatch_allow is None:
        settings.dispatch_allow = LOOPBACK  # whoever develops an endpoint runs it on the same machine
    configure_logging(*_log_choice(settings))
    faults.arm_from_environment()
    signals = server.StopSignals()
    with signals.handled(), _listen(settings) as listening:
        postgres = EmbeddedPostgres(directory, progress=lambda line: errors.print(line, markup=False))
        announcement = None
        try:
            dsn = postgres.start()
            migrate(dsn)
            access = _grant_access(dsn, directory, settings)
            url = server.base_url(settings.host, listening)
            announcement = _Announcement(url, access, directory, dsn, as_json=as_json)
            app = create_app(settings, dsn, announcement.begin)
            server.run(app, listening, signals, head_secs=settings.request_timeout_secs)
        except KeyboardInterrupt:
            pass  # asked to stop before it had started
        finally:
            if announcement is not None:
                announcement.end()
            postgres.stop()


def _log_choice(settings: "Settings") -> tuple[str, str]:
    """Return level and format of the log: on a terminal, unless told otherwise, quiet and readable."""
    given = settings.model_fields_set
    level = settings.log_level if "log_level" in given else "warning"
    format = settings.log_format if "log_format" in given or not sys.stderr.isatty() else "console"
    return level, format


def _listen(settings: "Settings") -> socket.socket:
    """Listen on the port that was asked for; when none was and the usual one is taken, on a free one."""
    from runcord.http.server import listen

    try:
        return listen(settings.host, settings.port)
    except ConfigurationError as error:
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        if "port" in settings.model_fields_set or not taken:
            raise
        listening = listen(settings.host, 0)
        errors.print(f"Port {settings.port} is taken: listening on {listening.getsockname()[1]} instead.")
        return listening


def _grant_access(dsn: str, directory: Path, settings: "Settings") -> Access:
    """Make the project and its key as far as they are missing; the same ones at every start."""
    from runcord.cli.database import bootstrap
    from runcord.ids import new_api_key

    project_id = settings.bootstrap_project or DEFAULT_PROJECT
    path = directory / CREDENTIALS
    kept = read_facts(path) or {}
    kept_key = kept.get("api_key") if kept.get("project_id") == project_id else None
    if settings.bootstrap_api_key is not None:
        key = settings.bootstrap_api_key.get_secret_value()
        bootstrap(dsn, project_id, key)
    else:
        key = str(kept_key or new_api_key())
        try:
            bootstrap(dsn, project_id, key)
        except ConfigurationError:  # somebody has revoked it
            errors.print("The API key of the last start was revoked or has expired: making a new one.")
            key = new_api_key()
            bootstrap(dsn, project_id, key)
    access = Access(project_id, key)
    if kept != {"project_id": project_id, "api_key": key}:
        write_private(path, {"project_id": project_id, "api_key": key})
    return access


class _Announcement:
    """Says, once the server is ready, where it is and how to use it, on stdout and in the state directory."""

    def __init__(self, base_url: str, access: Access, directory: Path, dsn: str, *, as_json: bool) -> None:
        self._base_url = base_url
        self._access = access
        self._directory = directory
        self._dsn = dsn
        self._as_json = as_json
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._announce, name="announcement", daemon=True)

    def begin(self) -> None:
        """Watch for readiness, beside the server."""
        self._thread.start()

    def end(self) -> None:
        """Take back what others find the server by."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        (self._directory / SERVER).unlink(missing_ok=True)

    def _announce(self) -> None:
        patience = clock.monotonic() + _PATIENCE_SECS
        while self._status("/readyz") != 200:
            if self._ended.wait(0.02):
                return
            if clock.monotonic() > patience:
                patience = math.inf
                errors.print(f"Still waiting for {self._base_url}/readyz to say that the server is ready.")
        facts = {"base_url": self._base_url, "pid": os.getpid(), "dsn": self._dsn}
        write_private(self._directory / SERVER, facts)
        typer.echo(self._line() if self._as_json else self._text())

    def _status(self, path: str) -> int:
        """Return the status that a GET is answered with; 0 when there is no answer."""
        from http.client import HTTPConnection, HTTPException

        address = urlsplit(self._base_url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._access.api_key}"})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def _line(self) -> str:
        return json.dumps(
            {
                "base_url": self._base_url,
                "project_id": self._access.project_id,
                "api_key": self._access.api_key,
                "secret_key": self._access.api_key,
                "pid": os.getpid(),
                "state_dir": str(self._directory),
            }
        )

    def _text(self) -> str:
        commands = "\n".join(f"  {command}" for command in self._next_commands())
        return (
            f"Runcord is ready. Stop it with Ctrl-C; its data is kept in {self._directory}.\n\n"
            f"  base URL    {self._base_url}\n"
            f"  project id  {self._access.project_id}\n"
            f"  API key     {self._access.api_key}\n\n"
            f"Try next, in another terminal:\n\n{commands}\n"
        )

    def _next_commands(self) -> list[str]:
        """Return three commands that work as they stand."""
        curl = f"curl -sS {self._base_url}"
        key = f"-H 'Authorization: Bearer {self._access.api_key}' -H 'Content-Type: application/json'"
        runcord = f"{_program()} {{}} --state-dir {shlex.quote(str(self._directory))}"
        known = self._status(f"/v1/jobs/{EXAMPLE_JOB}") == 200
        job = f'{{"name": "{EXAMPLE_JOB}", "slug": "{EXAMPLE_JOB}"}}'
        return [
            runcord.format("jobs list") if known else f"{curl}/v1/jobs {key} -d '{job}'",
            f'{curl}/v1/jobs/{EXAMPLE_JOB}/trigger {key} -d \'{{"payload": {{"greeting": "hello"}}}}\'',
            runcord.format("runs list"),
        ]


def _program() -> str:
    """Return how to call this program from a shell that knows nothing of its virtual environment."""
    found = shutil.which("runcord")
    if found is not None and Path(found).resolve().parent == Path(sys.executable).parent:
        return "runcord"
    return f"{shlex.quote(sys.executable)} -m runcord"
