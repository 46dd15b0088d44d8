"""A dev server that the pages are executed against, as their readers would start it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from runcord.embedded.binaries import find_binaries
from runcord.embedded.cluster import ADMINISTRATOR
from runcord.testing.postgres import directory_for_throwaway_files


@pytest.fixture(scope="session")
def reader() -> Iterator[dict[str, str]]:
    """The environment of somebody who reads the pages beside a dev server.

    Address and key for workers and clients, the database for psql and administration, PostgreSQL's programs in PATH.
    `DATABASE_URL` is the dev server's database; `ADMIN_URL` is that of a superuser, to make databases with.
    """
    home = Path(tempfile.mkdtemp(prefix="rc-docs-", dir=directory_for_throwaway_files()))
    home.chmod(0o755)
    path = os.pathsep.join((str(Path(sys.executable).parent), str(find_binaries().bindir), os.environ["PATH"]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNCORD_", "PG"))}
    environment = kept | {"PATH": path}
    environment.pop("DATABASE_URL", None)
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "runcord", "dev", "--json", "--port", "0", "--state-dir", home / "state"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, (home / "server.log").read_text()
        facts = json.loads(line)
        dsn = json.loads((home / "state" / "server.json").read_text())["dsn"]
        yield environment | {
            "RUNCORD_BASE_URL": facts["base_url"],
            "RUNCORD_API_KEY": facts["api_key"],
            "DATABASE_URL": dsn,
            "ADMIN_URL": make_conninfo(dsn, user=ADMINISTRATOR, dbname="postgres"),
        }
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
        shutil.rmtree(home)
