"""Runcord's main job on real input: every Python file of the standard library is a run of one job.

Starts a server with its own database and real worker processes, kills one of the workers in the middle, reads
everything back through the HTTP API and holds it against what had to happen. Exit status: 0 when all of it did,
1 when not, 2 for wrong usage, 130 when interrupted. Whatever happens, nothing that was started stays behind.
"""

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from demo_parts import report
from demo_parts.crash import Crash
from demo_parts.display import Display
from demo_parts.files import SourceFile, source_files
from demo_parts.processes import DemoError, Server, Workers
from demo_parts.record import read_record
from demo_parts.round import JOB, Round, open_round, register_job, trigger
from demo_parts.verdict import problems
from rich.console import Console

from runcord import clock
from runcord.client import Client, RuncordClientError, RunStats

STATE_DIR = Path(__file__).parents[1] / ".runcord" / "demo"
READY_SECS = 120.0
STALLED_SECS = 60.0
"""How long nothing may end before the demo gives up."""
LOOK_SECS = 0.1
LONGEST_WIDTH = 160


def main() -> int:
    """Run the demo and return its exit status."""
    options = _options()
    console = Console(stderr=options.json, highlight=False)
    if not console.is_terminal:
        console.width = LONGEST_WIDTH
    try:
        _let_signals_interrupt()
        return _demo(console, options)
    except KeyboardInterrupt:
        console.print("\nInterrupted: everything is stopped. The next start goes on from here.")
        return 130
    except DemoError as error:
        console.print(f"The demo failed: {error}", markup=False, style="bold red", soft_wrap=True)
        return 1


def _demo(console: Console, options: argparse.Namespace) -> int:
    state_dir: Path = options.state_dir.expanduser().resolve()
    files = source_files(options.limit)
    with contextlib.ExitStack() as cleanup:
        console.print(f"Starting the server; its data is in {state_dir}.", markup=False, soft_wrap=True)
        server = Server(state_dir, usual_port=options.keep)
        cleanup.callback(server.stop)
        cleanup.callback(_ignore_signals)  # called first: from then on, things are stopped in order
        server.wait_until_ready(READY_SECS)
        client = cleanup.enter_context(Client(server.base_url, server.api_key, retries=5))
        workers = Workers(server, state_dir)
        cleanup.callback(workers.stop)
        cleanup.callback(_ignore_signals)

        try:
            failures = _round(console, options, client, workers, files)
        except RuncordClientError as error:
            raise DemoError(f"{error}\n{server.account()}") from error
        if options.keep:
            _keep(console, server, workers)
        console.print("\nStopping workers, server and database.")
    if failures:
        console.print(f"The demo failed: {len(failures)} things are not as they had to be.", style="bold red")
    return 1 if failures else 0


def _round(
    console: Console, options: argparse.Namespace, client: Client, workers: Workers, files: list[SourceFile]
) -> list[str]:
    round_ = open_round(client, register_job(client))
    _greet(console, round_, workers.server, len(files), options.workers)
    begun, since = clock.monotonic(), clock.utc_now()
    with Display(console, round_.before) as display:
        created = trigger(client, round_, files, lambda _: display.show(client.runs.stats(job_id=round_.job.id)))
        display.say(f"Triggered {created} runs of {JOB}; {len(files) - created} existed already.")
        for _ in range(options.workers):
            display.say(f"Started {workers.start()}.")
        _work(client, round_, workers, display)
    seconds = clock.monotonic() - begun

    console.print("Reading everything back, and parsing every file once more to compare.")
    record = read_record(client, round_)
    after = client.runs.stats(job_id=round_.job.id)
    summary = report.summarize(round_, record, after, workers.killed, record.rate(since), seconds)
    failures = problems(record, files, workers.killed)
    report.print_summary(console, summary)
    report.print_dead_letters(console, record)
    if record.dead_letters:
        example = record.dead_letters[0]
        report.print_history(console, example)
        report.print_next(console, workers.server, options.state_dir.expanduser().resolve(), example, kept=options.keep)
    for failure in failures:
        console.print(f"WRONG: {failure}", markup=False, style="red")
    if not failures:
        console.print(
            f"\nEverything happened as it had to: {summary.completed:,} files parsed, {summary.dead_letters:,} refused"
            f" after {summary.retries:,} retries, {summary.runs_taken_over} runs outlived their worker,"
            f" {summary.events:,} events without a gap.",
            style="green",
        )
    if options.json:
        print(report.as_json(summary, record, failures), flush=True)
    return failures


def _greet(console: Console, round_: Round, server: Server, files: int, workers: int) -> None:
    said = f"The server is ready at {server.base_url}."
    if round_.before.total:
        said += f" Its ledger holds {round_.before.total:,} runs of earlier starts:"
        said += (
            f" going on with round {round_.number}, which was interrupted."
            if round_.resumed
            else f" this is round {round_.number}."
        )
    console.print(said, markup=False, soft_wrap=True)
    console.print(f"{files:,} files, {workers} workers; one worker will be killed.", markup=False)


def _work(client: Client, round_: Round, workers: Workers, display: Display) -> None:
    """Return when every run has ended. Raises DemoError when nothing moves any more."""
    crash = Crash(client, round_, workers, display.say)
    last: RunStats | None = None
    moved = clock.monotonic()
    while True:
        stats = client.runs.stats(job_id=round_.job.id)
        display.show(stats)
        if stats.finished == stats.total:
            return
        crash.step(stats)
        for worker_id in workers.ended():
            raise DemoError(f"{worker_id} ended by itself: see demo-workers.log in the state directory.")
        if last != stats:
            last, moved = stats, clock.monotonic()
        elif clock.monotonic() - moved > STALLED_SECS:
            raise DemoError(f"Nothing has ended for {STALLED_SECS:g} s; the runs are {stats.by_status}.")
        time.sleep(LOOK_SECS)


def _keep(console: Console, server: Server, workers: Workers) -> None:
    """Leave everything running until Ctrl-C, or until the server ends."""
    console.print(
        f"\nKept up until Ctrl-C: {server.base_url}, API key {server.api_key}, {len(workers.alive)} workers.",
        markup=False,
        soft_wrap=True,
    )
    try:
        server.process.wait()
    except KeyboardInterrupt:
        return
    raise DemoError(server.account())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Run a job over every file of the standard library, kill a worker, and look at the record.",
    )
    parser.add_argument(
        "--workers", type=_number(1, 16), default=2, metavar="N", help="worker processes; 2 unless given"
    )
    parser.add_argument("--limit", type=_number(0, 10**6), metavar="N", help="only N files of the standard library")
    parser.add_argument(
        "--state-dir", type=Path, default=STATE_DIR, help="where the data is kept; .runcord/demo unless given"
    )
    parser.add_argument("--keep", action="store_true", help="leave the server and the workers up until Ctrl-C")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout, everything else on stderr"
    )
    return parser.parse_args()


def _number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return number


def _let_signals_interrupt() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that they too leave nothing behind."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
