"""A process of its own that runs an embedded server: killed, doubled or run as other users by the tests.

Reads one JSON object from the command line, prints one on stdout when the server runs or has refused to, and
stops the server when stdin ends.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import psycopg  # before the change of user, who may not be able to read it
import structlog


def main(order: dict[str, object]) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if package := order.get("package"):
        sys.path.insert(0, str(package))
    embedded = importlib.import_module("runcord.embedded")
    errors = importlib.import_module("runcord.errors")
    binaries = None
    if bindir := order.get("bindir"):
        binaries = importlib.import_module("runcord.embedded.binaries").inspect_binaries(Path(str(bindir)), "copy")
    if interpreter := order.get("interpreter"):
        sys.executable = str(interpreter)
    if uid := order.get("uid"):
        os.setgroups([])
        os.setgid(int(str(uid)))
        os.setuid(int(str(uid)))
    server = embedded.EmbeddedPostgres(Path(str(order["state_dir"])), binaries=binaries)
    try:
        dsn = server.start()
    except errors.RuncordError as error:
        say({"error": error.code, "message": error.message})
        return
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT 1")
    say({"dsn": dsn, "pid": server.pid, "home": str(server.home)})
    sys.stdin.read()
    server.stop()


def say(fact: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
