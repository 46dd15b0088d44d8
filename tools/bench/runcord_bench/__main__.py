"""The command line of the benchmarks."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from runcord.errors import RuncordError
from runcord_bench import (
    appends,
    bulk,
    cost,
    drain,
    fairness,
    feed,
    growth,
    latency,
    lists,
    open_transaction,
    past_lists,
    rebuild,
    subscriptions,
    time_travel,
    triggers,
    whole_life,
)
from runcord_bench.conditions import conditions
from runcord_bench.database import Databases, open_databases
from runcord_bench.invariants import check
from runcord_bench.process import ProcessFailed
from runcord_bench.report import Report, as_json, print_conditions, print_report
from runcord_bench.sampling import Effort

BENCHMARKS: Mapping[str, Callable[[Databases, Effort], Report]] = {
    "appends": appends.measure,
    "triggers": triggers.measure,
    "whole_life": whole_life.measure,
    "latency": latency.measure,
    "feed": feed.measure,
    "lists": lists.measure,
    "past_lists": past_lists.measure,
    "rebuild": rebuild.measure,
    "time_travel": time_travel.measure,
    "subscriptions": subscriptions.measure,
    "bulk": bulk.measure,
    "drain": drain.measure,
    "cost": cost.measure,
    "open_transaction": open_transaction.measure,
    "fairness": fairness.measure,
    "growth": growth.measure,
}

QUICK = Effort(rounds=1, seconds=1.0, runs=1_000, triggers=60, listed=4_000, grown=500, limit_secs=120, folded=20_000)
FULL = Effort(
    rounds=3, seconds=3.0, runs=5_000, triggers=200, listed=1_000_000, grown=1_000_000, limit_secs=600, folded=250_000
)

PATIENCE = {"growth": 12}
"""Which benchmarks may take how many times as long as the others."""


def main() -> int:
    """Measure what was asked for; return 1 when a check failed or, in a full run, a must was missed."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _out_of_time)
    effort = replace(QUICK if options.quick else FULL, peers=options.peers)
    if options.grown is not None:
        effort = replace(effort, grown=options.grown)
    reports: dict[str, Report] = {}
    name = "preparing"
    try:
        with open_databases(options.dsn) as databases:
            found = conditions(databases.dsn, effort)
            print_conditions(found)
            for name in options.only:
                signal.alarm(effort.limit_secs * PATIENCE.get(name, 1))
                found_here = BENCHMARKS[name](databases, effort)
                invariants = check(databases.made, found_here.ledgers, effort)
                databases.drop_all()
                signal.alarm(0)
                reports[name] = replace(found_here, checks=[*found_here.checks, invariants])
                print_report(name, reports[name])
    except _OutOfTime:
        print(f"Error: {name} took longer than {effort.limit_secs * PATIENCE.get(name, 1)} s.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; everything that was started is stopped.", file=sys.stderr)
        return 130
    except (RuncordError, ProcessFailed, TimeoutError, psycopg.Error) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        answer: dict[str, Any] = as_json(found, reports)
        options.json.write_text(json.dumps(answer, indent=2) + "\n")
    return 0 if all(report.correct if options.quick else report.passed for report in reports.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench/run",
        description="Measure Runcord beside floors and peers, in one run. docs/how-to/benchmark.md explains each row.",
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=list(BENCHMARKS),
        metavar="NAME,…",
        help=f"some of: {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("--quick", action="store_true", help="one short round each: a check, not a measurement")
    parser.add_argument("--peers", action="store_true", help="beside PostgreSQL's job queues for Python, too")
    parser.add_argument(
        "--grown", type=int, metavar="RUNS", help=f"how many runs `growth` grows to, at last; {FULL.grown:,} by itself"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument(
        "--dsn",
        metavar="DSN",
        help="a PostgreSQL to measure on, as a role that may create databases; without it, an embedded one",
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in BENCHMARKS:
            raise argparse.ArgumentTypeError(f"there is no benchmark {name!r}: {', '.join(BENCHMARKS)}")
    return names


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class _OutOfTime(KeyboardInterrupt):
    """Time is up. Event loops let nothing else out that a signal's handler raises."""


def _out_of_time(*_: object) -> None:
    raise _OutOfTime


if __name__ == "__main__":
    sys.exit(main())
