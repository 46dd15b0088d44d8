"""The benchmarks run, count only what is correct, and say what their page says they say."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import Notification

from runcord.ids import new_event_id
from runcord.recorded import Recorded
from runcord.run import events as e
from runcord.testing.scenario import START, triggered

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "benchmark.md").read_text("utf-8")
BENCH = [sys.executable, "-P", "-m", "runcord_bench"]
"""What tools/bench/run starts, in the environment that the tests run in."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick_appends(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What a quick run of the appends wrote to its file, and what it printed."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    outcome = subprocess.run(
        [*BENCH, "--quick", "--only", "appends", "--json", str(path)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
        check=False,
    )
    # 1 is a figure that was missed, on a machine that does other things: the checks are looked at one by one.
    assert outcome.returncode in {0, 1}, outcome.stdout
    return json.loads(path.read_text()), outcome.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "tools" / "bench")}


def documented(row: str) -> set[str]:
    """Return the members that the page lists in one row of its table of the JSON."""
    [listed] = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith(f"| {row} |")]
    return set(re.findall(r"`(\w+)`", listed))


def test_the_json_has_the_documented_members(quick_appends: tuple[dict[str, Any], str]) -> None:
    found, _ = quick_appends
    assert set(found) == {"conditions", "passed", "benchmarks"}
    assert set(found["benchmarks"]) == {"appends"}
    appends = found["benchmarks"]["appends"]
    assert set(appends) == documented("`benchmarks`")
    for line in appends["lines"]:
        assert set(line) == documented("`lines[]`")
        for side in (line["product"], line["floor"], *line["peers"].values()):
            assert set(side) | {"p50", "p99", "max"} == documented("`product`, `floor`, `peers`")
    assert all(set(check) == documented("`checks[]`") for check in appends["checks"])


def test_every_side_was_measured_at_every_concurrency(quick_appends: tuple[dict[str, Any], str]) -> None:
    found, printed = quick_appends
    lines = {line["what"]: line for line in found["benchmarks"]["appends"]["lines"]}
    kinds = ("appends", "triggers")
    assert set(lines) == {f"{callers} concurrent {kind}" for callers in (1, 8, 32, 128) for kind in kinds}
    assert {what: set(line["peers"]) for what, line in lines.items() if line["peers"]} == {
        f"{callers} concurrent {kind}": {"eventsourcing's recorder"} for callers in (1, 32) for kind in kinds
    }
    for what, line in lines.items():
        assert what in printed
        for side in ("product", "floor"):
            assert line[side]["rate"] > 0
            assert line[side]["latencies"] > 0
            assert 0 < line[side]["percentiles_ms"]["p50"] <= line[side]["percentiles_ms"]["p99"]
        assert line["product_to_floor"] == pytest.approx(line["product"]["rate"] / line["floor"]["rate"])


def test_nothing_is_missed_or_given_out_twice(quick_appends: tuple[dict[str, Any], str]) -> None:
    found, _ = quick_appends
    checks = {check["what"].split(":")[0]: check for check in found["benchmarks"]["appends"]["checks"]}
    assert checks["gap test"]["passed"], checks["gap test"]
    assert checks["double-claim test"]["passed"], checks["double-claim test"]


def test_the_figures_are_taken_on_a_server_that_forgets_nothing(quick_appends: tuple[dict[str, Any], str]) -> None:
    conditions = quick_appends[0]["conditions"]
    assert (conditions["fsync"], conditions["synchronous_commit"]) == ("on", "on")


@pytest.fixture
def bench_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools" / "bench"))


@pytest.mark.usefixtures("bench_on_path")
@pytest.mark.parametrize(
    ("positions", "run_ids", "acknowledged", "passes"),
    [
        ([1, 2, 3], ["a", "b"], {"a", "b"}, True),
        ([1, 2, 4], ["a", "b"], {"a", "b"}, False),
        ([1, 3, 2], ["a", "b"], {"a", "b"}, False),
        ([1, 2, 2], ["a", "b"], {"a", "b"}, False),
        ([1, 2, 3], ["a", "a"], {"a"}, False),
        ([1, 2, 3], ["a", "b"], {"a", "b", "c"}, False),
        ([], [], set(), False),
    ],
    ids=["all is well", "a hole", "out of order", "a position twice", "a run twice", "a run missed", "nothing"],
)
def test_the_gap_test_fails_when_it_should(
    positions: list[int], run_ids: list[str], acknowledged: set[str], passes: bool
) -> None:
    from runcord_bench import gap

    topics = ["job.created.v1", *["run.triggered.v1"] * len(run_ids)]
    seen = [
        Notification(originator_id, 1, topic, b"{}", id=position)
        for position, originator_id, topic in zip(positions, ["job", *run_ids], topics, strict=False)
    ]
    assert gap.verdict(seen, acknowledged).passed is passes


@pytest.mark.usefixtures("bench_on_path")
@pytest.mark.parametrize(
    ("order", "attempts", "shares", "passes"),
    [
        ("ABCDEF abcdef", "ABCDEF", [3, 3], True),
        ("ABCDEF abcdef", "ABCDEFF", [4, 3], False),
        ("ABCDEF abcdef", "ABCDEF", [6, 0], False),
        ("ABCDEF abcde", "ABCDEF", [3, 3], False),
        ("ABCDE abcde Ff", "ABCDEF", [3, 3], False),
        ("ABCDEFG abcdefg", "ABCDEFG", [4, 3], False),
        ("AEIBCD aeibcd", "AEIBCD", [3, 3], False),
    ],
    ids=[
        "all is well",
        "an attempt twice",
        "one process got nothing",
        "a run was left",
        "the limit was not reached",
        "one too many",
        "one too many of a key",
    ],
)
def test_the_double_claim_test_fails_when_it_should(order: str, attempts: str, shares: list[int], passes: bool) -> None:
    """Capital letters are dequeued, small ones completed; every fourth letter of the alphabet has the same key."""
    from runcord_bench import double_claim

    runs = sorted({letter.upper() for letter in order if letter != " "})
    happened: list[tuple[str, Any]] = [
        (run, triggered(concurrency_key=f"key-{ord(run) % double_claim.KEYS}")) for run in runs
    ]
    for letter in order.replace(" ", ""):
        event = e.Dequeued("worker", 1, 1, 60.0) if letter.isupper() else e.Completed(1)
        happened.append((letter.upper(), event))
    ledger = [
        Recorded(run_id, 0, position, START, new_event_id(), {}, event)
        for position, (run_id, event) in enumerate(happened, start=1)
    ]
    given_out = Counter((run_id, 1) for run_id in attempts)
    assert double_claim.verdict(len(runs), shares, given_out, ledger).passed is passes


@pytest.mark.usefixtures("bench_on_path")
@pytest.mark.parametrize(
    ("given", "unwatched", "completed", "passes"),
    [("abc", 0, 3, True), ("ab", 1, 3, True), ("abcc", 0, 3, False), ("ab", 0, 3, False), ("abc", 0, 2, False)],
    ids=["all is well", "one by the library", "one given out twice", "one to nobody", "one not done"],
)
def test_the_check_of_drains_fails_when_it_should(given: str, unwatched: int, completed: int, passes: bool) -> None:
    from runcord_bench.drain import Shares

    assert Shares(3, unwatched, Counter(given)).check(completed).passed is passes


@pytest.mark.usefixtures("bench_on_path")
def test_a_line_says_how_the_product_stands_beside_the_best_peer() -> None:
    from runcord_bench.report import line_of
    from runcord_bench.sampling import Sample, figure

    rates = {"product": 600.0, "floor": 1200.0, "quick": 800.0, "slow": 300.0}
    line = line_of("drain", {side: figure([Sample(rate)]) for side, rate in rates.items()})
    assert (line.to_floor, line.to_best_peer) == (0.5, 0.75)
    assert line.to_peers == {"quick": 0.75, "slow": 2.0}


@pytest.mark.usefixtures("bench_on_path")
def test_the_chart_has_a_point_for_each_size() -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    from runcord_bench.growth_chart import draw

    lines = [
        {"what": f"{what}, at {runs:,} runs", "product_to_floor": kept}
        for what, kept in (("triggers", 0.5), ("drain by 2, 100 at a time", 0.8))
        for runs in (1_000, 100_000)
    ]
    conditions = {"date": "2026-11-22T00:00:00+00:00"}
    [axes] = draw({"conditions": conditions, "benchmarks": {"growth": {"lines": lines}}}).axes
    drawn = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["triggers"] == [[1_000, 2.0], [100_000, 2.0]]
    assert drawn["drain by 2, 100 at a time"] == [[1_000, 1.25], [100_000, 1.25]]


def test_an_interrupted_benchmark_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*BENCH, "--quick", "--only", "appends"],
        # Where its state directory will be, so that it can be looked for.
        env={**environment(), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "seconds per sample" in line:
                break
        assert list(tmp_path.glob("runcord-bench-*"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=90)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, said
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_benchmark_is_refused() -> None:
    outcome = subprocess.run(
        [*BENCH, "--only", "speed"], env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert outcome.returncode == 2
    assert "no benchmark 'speed': appends, triggers, whole_life, latency" in outcome.stderr


def test_every_benchmark_has_its_section_on_the_page() -> None:
    outcome = subprocess.run(
        [*BENCH, "--help"], env=environment(), capture_output=True, text=True, timeout=30, check=True
    )
    [named] = re.findall(r"some of: ([\w, ]+)", " ".join(outcome.stdout.split()))
    for name in named.split(" --")[0].strip().split(", "):
        assert f"\n## {name}\n" in PAGE
