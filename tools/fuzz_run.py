"""Fuzz a server of its own by its own OpenAPI document: see `tools/fuzz`."""

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

from runcord.sql import apply_schema
from runcord.testing.postgres import TestServer
from runcord.testing.server import API_KEY, ServerProcess

PARTS = Path(__file__).resolve().parent / "fuzz_parts"

PHASES = ("examples,coverage,fuzzing", "stateful")
"""Chains of requests come by themselves: after the other phases they would speak of what those have made."""

FEW = 4
"""How many examples the short form tries, beside the edges of all schemas."""

MANY = 100_000

QUIET = {"RUNCORD_LOG_LEVEL": "error"}


def main() -> int:
    """Return 0 if nothing was found."""
    options, others = _arguments()
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    with TestServer() as postgres:
        dsn = postgres.create_database()
        apply_schema(dsn)
        with ServerProcess(dsn, QUIET) as server:
            environment = {**os.environ, "RUNCORD_FUZZ_URL": server.base_url, "RUNCORD_FUZZ_KEY": API_KEY}
            environment["PYTHONPATH"] = str(PARTS.parent)
            status = 0
            for phases in PHASES if "--phases" not in others else [None]:
                command = _command(server.base_url, seed, phases, options, others)
                status = subprocess.run(command, env=environment, check=False).returncode or status
            if server.exit_code is not None or "request_failed" in server.log:
                print(server.log, file=sys.stderr)
                status = status or 1
    print(f"seed {seed}: {'nothing found' if status == 0 else 'failed'}")
    return status


def _command(base_url: str, seed: int, phases: str | None, options: argparse.Namespace, others: list[str]) -> list[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(PARTS / "schemathesis.toml"), "run"]
    command += [f"{base_url}/openapi.json", "--seed", str(seed), "--no-color"]
    command += ["--max-examples", str(options.max_examples)]
    if phases is not None:
        command += ["--phases", phases]
    if options.minutes is not None:
        command += ["--max-time", str(round(options.minutes * 60 / len(PHASES)))]
    return command + others


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="tools/fuzz", description=__doc__)
    parser.add_argument("--max-examples", type=int, help="of random requests to each operation, and of chains")
    parser.add_argument("--minutes", type=float, help="how long to go on, at most, with as many examples as fit")
    parser.add_argument("--seed", type=int, help="of an earlier run, which it repeats; random unless given")
    options, others = parser.parse_known_args()
    if options.max_examples is None:
        options.max_examples = FEW if options.minutes is None else MANY
    return options, others


if __name__ == "__main__":
    sys.exit(main())
