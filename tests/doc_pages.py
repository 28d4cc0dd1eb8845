"""The documentation's pages as programs: their fenced blocks, and a folder in which a page is run as it is written."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.live import ROOT

ADDRESS = "http://127.0.0.1:7860"
"""The only thing that is replaced in what a page says."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MADE_FILE = re.compile(r"[\w{}-]+\.(?:png|webp|mp4)\b")
BLOCK_TIMEOUT_S = 150
ANYTHING = "…"
"""In the output that a page shows: what differs from run to run."""
PYTHON = """
import json, sys, traceback
names = {"__name__": "__main__"}
for number, line in enumerate(sys.stdin, 1):
    try:
        exec(compile(json.loads(line), f"block {number}", "exec"), names)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    print("\\0", flush=True)
"""
"""Runs blocks one after another in one process, as a reader types them at one prompt; a NUL ends each one's output."""
SHELL = """
[ -e {state} ] && . {state}
set -aeu
{code}
set +x; { export -p; declare -f; } > {state}
"""
"""One block of a shell page. What it sets is there for the next."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, its text, the line of the page it stands at, and the output shown below it."""

    language: str
    text: str
    line: int
    shown: str | None = None


def pages() -> list[Path]:
    """Every page of the API's documentation."""
    return [ROOT / "docs" / "api.md", *sorted((ROOT / "docs" / "api").glob("*.md"))]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of `page` in order. A ```text block straight below another is the output of that one."""
    text = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    end_of_last = -1
    for found in FENCE.finditer(text):
        if found[1] == "text" and blocks and not text[end_of_last : found.start()].strip():
            last = blocks.pop()
            blocks.append(Block(language=last.language, text=last.text, line=last.line, shown=found[2]))
        else:
            blocks.append(Block(language=found[1], text=found[2], line=text.count("\n", 0, found.start()) + 1))
        end_of_last = found.end()
    return blocks


def programs_of(page: Path) -> list[Block]:
    """The blocks of `page` that are to be run."""
    return [block for block in blocks_of(page) if block.language in ("python", "sh")]


class PageRun:
    """One page being run in a folder of its own, at the studio of `url`."""

    def __init__(self, folder: Path, url: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.url = url
        folder.mkdir()
        # The studio's own interpreter is the `python3` of the shell blocks.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, **environment, "PATH": path, "PYTHONUNBUFFERED": "1"}
        self._errors = (folder.parent / f"{folder.name}.err").open("wb")
        self._python: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    def run(self, block: Block) -> str:
        """Run a block and return what it printed. Fails with what it wrote to stderr."""
        code = block.text.replace(ADDRESS, self.url)
        return self._run_python(code) if block.language == "python" else self._run_shell(code)

    def close(self) -> None:
        """End whatever the page started."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self._python is not None:
            for pipe in (self._python.stdin, self._python.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):
                    pipe.close()
            self._python.wait()
        self._errors.close()

    def _start(self, command: list[str], **pipes: int | object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stderr=self._errors,
            start_new_session=True,
            **pipes,  # type: ignore[call-overload]
        )
        self._groups.append(process.pid)
        return process

    def _run_python(self, code: str) -> str:
        if self._python is None:
            self._python = self._start([sys.executable, "-c", PYTHON], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process = self._python
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(code).encode() + b"\n")
        process.stdin.flush()
        printed = bytearray()
        while not printed.endswith(b"\0\n"):
            line = process.stdout.readline()
            assert line, self._said()
            printed += line
        return printed[:-2].decode()

    def _run_shell(self, code: str) -> str:
        output = self.folder.parent / f"{self.folder.name}.out"
        state = self.folder.parent / f"{self.folder.name}.state"
        script = SHELL.replace("{state}", str(state)).replace("{code}", code)
        # A file, not a pipe: what the block leaves running in the background would keep a pipe open.
        with output.open("wb") as kept:
            process = self._start(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=kept)
            code_of_end = process.wait(BLOCK_TIMEOUT_S)
        printed = output.read_text(encoding="utf-8")
        assert code_of_end == 0, f"exit code {code_of_end}\n{printed}\n{self._said()}"
        return printed

    def _said(self) -> str:
        return Path(self._errors.name).read_text(encoding="utf-8", errors="replace")[-4000:]


@contextmanager
def running_page(folder: Path, url: str, environment: Mapping[str, str]) -> Iterator[PageRun]:
    """A page's run, whose processes all end with it."""
    run = PageRun(folder, url, environment)
    try:
        yield run
    finally:
        run.close()


def is_as_shown(printed: str, shown: str) -> bool:
    """Whether `printed` is the output that the page shows, in which … stands for anything."""
    pattern = ".*?".join(re.escape(part.strip()) for part in shown.split(ANYTHING))
    return re.fullmatch(rf"\s*{pattern}\s*", printed, re.DOTALL) is not None


def files_named(blocks: list[Block]) -> set[str]:
    """The picture and film files that the programs name, as patterns of names."""
    names = {name for block in blocks for name in MADE_FILE.findall(block.text)}
    return {re.sub(r"\{[^}]*\}", "*", name) for name in names}
