"""The code blocks of a page of documentation, and what is to be done with each.

The word in braces behind a fence's language says it (it is not rendered):

    ```sh {run}             executed in the page's shell, one for the whole page, in order; every command must succeed
    ```python {run}         executed in that shell's directory
    ```python {save x.py}   saved there under that name
    ```python {from x}     stands, as it is, in the example package x under docs/examples
    ```text {shown}         each line is found in what the run block before it has printed
    ```sh {typed}           not executed: for the reader's eyes, or for another machine
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/tutorial/*.md")), *sorted(ROOT.glob("docs/how-to/*.md")))

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INFO = re.compile(r"(?P<language>\w*)(?: \{(?P<order>\w+)(?: (?P<name>[\w.-]+))?\})?")
_EXECUTABLE = ("sh", "python")


@dataclass(frozen=True)
class Block:
    """One fenced block. `order` is the word in braces, empty when there is none."""

    path: Path
    line: int
    language: str
    order: str
    name: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands: page and line."""
        return f"{self.path.name}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page. Raises ValueError for a fence that says something else than the above."""
    text = path.read_text("utf-8")
    for found in _FENCE.finditer(text):
        info = _INFO.fullmatch(found["info"].strip())
        line = text.count("\n", 0, found.start()) + 1
        if info is None:
            raise ValueError(f"{path.name}:{line}: the fence says {found['info']!r}")
        yield Block(path, line, info["language"], info["order"] or "", info["name"] or "", found["text"])


def script(found: Sequence[Block], directory: Path) -> str:
    """Return a bash script that does what the blocks say in `directory`, and announces each on a line of its own."""
    lines = ["set -eu", f"cd {shlex.quote(str(directory))}"]
    for number, block in enumerate(found):
        if block.order == "save":
            (directory / block.name).write_text(block.text)
        elif block.order == "run":
            lines.append(f"echo; echo {shlex.quote(announcement(block))}")
            if block.language == "python":
                file = directory / f"block-{number}.py"
                file.write_text(block.text)
                lines.append(f"python {file.name}")
            else:
                lines.append(block.text)
    return "\n".join([*lines, "echo; echo '== end'"])


def announcement(block: Block) -> str:
    """Return the line that precedes a block's output."""
    return f"== {block.place}"


def missing(found: Sequence[Block], output: str) -> Iterator[str]:
    """Yield each line that a page shows and that its run did not print."""
    printed = ""
    for block in found:
        if block.order == "run":
            printed = output.partition(announcement(block) + "\n")[2].partition("\n== ")[0]
        elif block.order == "shown":
            for line in filter(str.strip, block.text.splitlines()):
                if line.strip() not in printed:
                    yield f"{block.place} shows {line.strip()!r}, printed was:\n{printed}"


def unordered(found: Sequence[Block]) -> Iterator[str]:
    """Yield the places of blocks that look executable and do not say whether they are."""
    for block in found:
        orders = {"sh": {"run", "typed"}, "python": {"run", "save", "from", "typed"}}.get(block.language, {"", "shown"})
        if block.order not in orders or (block.order in {"save", "from"}) != bool(block.name):
            yield block.place
