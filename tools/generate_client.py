"""Make the synchronous half of the Python SDK from the asynchronous one.

    python tools/generate_client.py           write the `_sync` packages
    python tools/generate_client.py --check   exit with 1 when they are not current

The asynchronous source is the description. What is written is committed: checkers and readers find plain code.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parent.parent / "src" / "runcord"
PACKAGES = ("client", "worker")
HEADER = "# Made from {origin} by tools/generate_client.py: edit that file.\n"

FIX = ["check", "--quiet", "--fix-only", "--unsafe-fixes", "--select", "I,UP028,C416"]
FIX += ["--config", 'lint.isort.known-first-party = ["runcord"]']  # modules not yet written are ours too

RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"\bThe asynchronous (client|context)\. .*(?=\"\"\")",
            r"The synchronous \1, made from the asynchronous one.",
        ),
        (r"\basync (def|for|with)\b", r"\1"),
        (r"\bawait ", ""),
        (r"\basyncio\.sleep\b", "time.sleep"),
        (r"\bimport asyncio\b", "import time"),
        (r"\bAsync(?=[A-Z])", ""),
        (r"\b_async\b", "_sync"),
        (r"\b__aiter__\b", "__iter__"),
        (r"\basynccontextmanager\b", "contextmanager"),
        (r"\ba(?=iter_bytes\b|read\b)", ""),
        (r"\b__aenter__\b", "__enter__"),
        (r"\b__aexit__\b", "__exit__"),
        (r"\baclose\b", "close"),
    )
]


def synchronous(source: str) -> str:
    """Return the synchronous form of an asynchronous module's source."""
    for pattern, replacement in RULES:
        source = pattern.sub(replacement, source)
    return source


def formatted(source: str, path: Path) -> str:
    """Return the source as ruff sorts and formats it."""
    for command in (FIX, ["format", "--quiet"]):
        finished = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
            input=source,
            capture_output=True,
            text=True,
            check=True,
        )
        source = finished.stdout
    return source


def generated() -> dict[Path, str]:
    """Return every file to be written, with its text."""
    return {
        target: formatted(HEADER.format(origin=f"_async/{origin.name}") + synchronous(origin.read_text()), target)
        for package in PACKAGES
        for origin in sorted((SOURCE_ROOT / package / "_async").glob("*.py"))
        for target in [SOURCE_ROOT / package / "_sync" / origin.name]
    }


def stale(files: dict[Path, str]) -> list[Path]:
    """Return the files that are missing, differ, or no longer have an origin."""
    present = {path for package in PACKAGES for path in (SOURCE_ROOT / package / "_sync").glob("*.py")}
    differing = [path for path, text in files.items() if path not in present or path.read_text() != text]
    return sorted([*differing, *(present - files.keys())])


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the synchronous half of the Python SDK.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when not current")
    arguments = parser.parse_args()
    files = generated()
    outdated = stale(files)
    for path in outdated:
        print(f"{'outdated' if arguments.check else 'writing'}: {path.relative_to(SOURCE_ROOT)}")
        if arguments.check:
            continue
        if path in files:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path])
        else:
            path.unlink()
    return 1 if arguments.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
