"""The README's promises, run as they are written."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.doc_pages import ADDRESS, blocks_of
from tests.live import ROOT, StudioServer


def readme_client() -> str:
    """The Python block that shows the client."""
    blocks = blocks_of(ROOT / "README.md")
    (client,) = [block.text for block in blocks if block.language == "python" and "gradio_client" in block.text]
    return client


def run_client(server: StudioServer, folder: Path, code: str) -> list[Path]:
    folder.mkdir()
    code = code.replace(ADDRESS, server.url)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.png"))


def pixels(path: Path) -> str:
    with Image.open(path) as picture:
        return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()


def test_the_ten_line_client_ends_with_six_files_and_seeds_decide(studio_server: StudioServer, tmp_path: Path) -> None:
    code = readme_client()
    assert len(code.strip().splitlines()) <= 10
    first = run_client(studio_server, tmp_path / "first", code)
    again = run_client(studio_server, tmp_path / "again", code)
    other = run_client(studio_server, tmp_path / "other", re.sub(r"seed=\d+", "seed=4242", code))

    assert len(first) == 6
    assert [pixels(path) for path in first] == [pixels(path) for path in again]
    assert not {pixels(path) for path in first} & {pixels(path) for path in other}
