"""What a dev server leaves in its state directory for others: its credentials, and where it can be reached."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from runcord.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from runcord.settings import Settings

CREDENTIALS = "credentials.json"
SERVER = "server.json"

StateDir = Annotated[
    Path | None, typer.Option("--state-dir", help="The state directory of a dev server [env: RUNCORD_STATE_DIR].")
]


def write_private(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a JSON file that only its owner can read, complete or not at all.

    Raises:
        ConfigurationError: the directory cannot be written to.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            json.dump(facts, file)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except OSError as error:
        raise ConfigurationError(f"Cannot write {path}: {error.strerror}") from error


def read_facts(path: Path) -> dict[str, Any] | None:
    """Return what the JSON file holds, or None when there is none.

    Raises:
        ConfigurationError: the file cannot be read, or is not what was written.
    """
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Cannot read {path} ({error}): mend or delete it.") from error
    if not isinstance(facts, dict):
        raise ConfigurationError(f"{path} does not hold an object: delete it.")
    return cast("dict[str, Any]", facts)


def resolve_database(state_dir: Path | None, settings: "Settings | None" = None) -> str:
    """Return the DSN to administrate: the named dev server's, else DATABASE_URL, else the usual dev server's.

    Raises:
        ConfigurationError: nothing was named and no dev server runs in the usual place.
        Unavailable: no dev server runs in the named directory.
    """
    from runcord.settings import load_settings

    settings = settings or load_settings(state_dir=state_dir)
    if state_dir is not None:
        return _running(settings.state_dir)["dsn"]
    if settings.database_url is not None and settings.database_url.get_secret_value():
        return settings.database_url.get_secret_value()
    facts = read_facts(settings.state_dir / SERVER)
    if facts is None:
        raise ConfigurationError(
            f"No database: set DATABASE_URL, or start `runcord dev` and name its --state-dir "
            f"(none runs in {settings.state_dir})."
        )
    return _running(settings.state_dir)["dsn"]


def resolve_server(state_dir: Path | None) -> tuple[str, str]:
    """Return base URL and API key: the named dev server's, else RUNCORD_BASE_URL and RUNCORD_API_KEY, else the usual's.

    Raises:
        ConfigurationError: nothing was named and no dev server runs in the usual place.
        Unavailable: no dev server runs in the named directory.
    """
    url, key = os.environ.get("RUNCORD_BASE_URL"), os.environ.get("RUNCORD_API_KEY")
    if state_dir is None and url and key:
        return url, key
    from runcord.settings import load_settings

    settings = load_settings(state_dir=state_dir)
    facts = read_facts(settings.state_dir / SERVER)
    if state_dir is None and (facts is None or url):
        raise ConfigurationError(
            "No server: set RUNCORD_BASE_URL and RUNCORD_API_KEY, or start `runcord dev` and name its --state-dir."
        )
    running, credentials = _running(settings.state_dir), read_facts(settings.state_dir / CREDENTIALS)
    if credentials is None:
        raise ConfigurationError(f"{settings.state_dir / CREDENTIALS} is missing: start `runcord dev` again.")
    return running["base_url"], key or credentials["api_key"]


def _running(state_dir: Path) -> dict[str, Any]:
    facts = read_facts(state_dir / SERVER)
    if facts is None:
        raise Unavailable(f"No dev server runs in {state_dir}: start `runcord dev --state-dir {state_dir}`.")
    return facts
