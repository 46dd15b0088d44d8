"""Tells what happened: a table, the dead letters, the history of one of them, and what to type next."""

import json
import re
import shlex
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from demo_parts.processes import Server
from demo_parts.record import Record, RecordedRun
from demo_parts.round import JOB, Round
from runcord.client import HistoryEvent, RunStats

SHORT = 110


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold the figures of a round, and of all rounds in the same directory."""

    round: int
    runs: int
    completed: int
    dead_letters: int
    attempts: int
    retries: int
    runs_taken_over: int
    events: int
    events_per_second: float
    seconds: float
    all_runs: int
    all_completed: int
    all_dead_letters: int


def summarize(
    round_: Round, record: Record, after: RunStats, killed: list[str], rate: float, seconds: float
) -> Summary:
    """Return the figures; `seconds` is how long the runs took, from the first trigger to the last end."""
    return Summary(
        round=round_.number,
        runs=len(record.runs),
        completed=sum(one.run.status == "completed" for one in record.runs),
        dead_letters=len(record.dead_letters),
        attempts=sum(len(one.events("run.attempted")) for one in record.runs),
        retries=sum(one.retries for one in record.runs),
        runs_taken_over=len(record.taken_over(killed)),
        events=sum(1 for _ in record.events),
        events_per_second=round(rate, 1),
        seconds=round(seconds, 1),
        all_runs=after.total,
        all_completed=after.by_status.get("completed", 0),
        all_dead_letters=after.by_status.get("dead_letter", 0),
    )


def print_summary(console: Console, summary: Summary) -> None:
    """Print the table of figures."""
    table = Table(title=f"Round {summary.round}, read through the HTTP API", title_justify="left")
    table.add_column("")
    table.add_column("this round", justify="right")
    table.add_column("all rounds", justify="right")
    table.add_row("runs", f"{summary.runs:,}", f"{summary.all_runs:,}")
    table.add_row("completed", f"{summary.completed:,}", f"{summary.all_completed:,}")
    table.add_row("dead letters", f"{summary.dead_letters:,}", f"{summary.all_dead_letters:,}")
    table.add_row("attempts", f"{summary.attempts:,}")
    table.add_row("retries", f"{summary.retries:,}")
    table.add_row("runs taken over", f"{summary.runs_taken_over:,}")
    table.add_row("events", f"{summary.events:,}")
    table.add_row("events/s", f"{summary.events_per_second:,.0f}")
    table.add_row("seconds", f"{summary.seconds:,.1f}")
    console.print()
    console.print(table)


def print_dead_letters(console: Console, record: Record) -> None:
    """Print the errors that made dead letters, each with the files that have it."""
    groups: dict[str, list[str]] = defaultdict(list)
    for one in record.dead_letters:
        message = re.sub(r" \([^()]*, line \d+\)$", "", str(one.run.error))
        groups[f"{one.run.error_class}: {message}"].append(one.name)
    table = Table(title="Dead letters by error", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("error", overflow="fold", ratio=3)
    table.add_column("files", overflow="fold", ratio=2)
    for error, names in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        table.add_row(str(len(names)), escape(error), escape(", ".join(names)))
    console.print()
    console.print(table)


def print_history(console: Console, one: RecordedRun) -> None:
    """Print a run's history event by event."""
    console.print(f"\nThe history of {one.run.id}, which was to parse {one.name}:", markup=False, highlight=False)
    for event in one.history:
        at = event.recorded_at.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
        place = f"version {event.version:>2}  position {event.position:>6}  {at}"
        line = f"  {place}  {_short_actor(event):<14}  {event.type:<21}  {_short(event)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_next(console: Console, server: Server, state_dir: Path, example: RecordedRun, *, kept: bool) -> None:
    """Print commands that work as they stand, in another terminal while the server is kept, else in this one."""
    runcord = shlex.join([str(Path(sys.executable).parent / "runcord")])
    directory = shlex.quote(str(state_dir))
    demo = shlex.quote(str(Path(__file__).parents[1] / "demo"))
    looking = [
        f"{runcord} runs history {example.run.id} --state-dir {directory}",
        f"{runcord} runs show {example.run.id} --version 3 --state-dir {directory}",
        f"{runcord} runs list --status dead_letter --state-dir {directory}",
    ]
    if kept:
        headline = "What to type next, in another terminal:"
        curl = f"curl -sS -H 'Authorization: Bearer {server.api_key}'"
        payload = json.dumps({"payload": {"path": str(Path(__file__)), "name": "mine.py"}})
        commands = [
            *looking,
            f"{curl} {server.base_url}/v1/jobs/{JOB}/trigger --json {shlex.quote(payload)}",
            f"{curl} -X POST {server.base_url}/v1/runs/{example.run.id}/dlq-replay",
        ]
    else:
        headline = "What to type next:"
        serve = f"{runcord} dev --state-dir {directory} &  # the same data, served until you stop it: kill %1"
        again = f"{demo} --keep --state-dir {directory}  # another round; the server and its workers stay up"
        commands = [serve, *looking, again]
    console.print(f"\n{headline}\n", markup=False, highlight=False)
    for command in commands:
        console.print(f"  {command}", markup=False, highlight=False, soft_wrap=True)


def as_json(summary: Summary, record: Record, failures: list[str]) -> str:
    """Return everything as one line of JSON."""
    dead: list[dict[str, Any]] = [
        {"run_id": one.run.id, "name": one.name, "error": f"{one.run.error_class}: {one.run.error}"}
        for one in record.dead_letters
    ]
    return json.dumps({**asdict(summary), "dead_letter_runs": dead, "problems": failures})


def _short_actor(event: HistoryEvent) -> str:
    """Return the actor's kind and the end of its id, which is enough to tell it from others."""
    kind, _, name = str(event.actor).partition(":")
    return f"{kind}:…{name[-6:]}" if len(name) > 6 else f"{kind}:{name}" if name else kind


def _short(event: HistoryEvent) -> str:
    facts = {name: value for name, value in event.data.items() if value is not None}
    error = facts.get("error")
    if isinstance(error, dict):
        facts["error"] = f"{error.get('type')}: {error.get('message')}"  # without its stack
    text = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in facts.items())
    return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"
