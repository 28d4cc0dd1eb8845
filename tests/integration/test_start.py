"""Starting the program: what cannot work is said in a sentence, at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT


def start(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STUDIO_", "GRADIO_"))}
    return subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        env=kept | {"STUDIO_DATA_DIR": str(tmp_path / "data"), "STUDIO_MODELS": "demo", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_and_version(tmp_path: Path) -> None:
    assert "README.md" in start(tmp_path, "--help").stdout
    assert start(tmp_path, "--version").stdout.startswith("OurVidz Studio 0.")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"STUDIO_PORT": "seven"}, "STUDIO_PORT"),
        ({"STUDIO_MODELS": "huge"}, "STUDIO_MODELS"),
        ({"STUDIO_HOST": "0.0.0.0", "STUDIO_AUTH": "local"}, "Set STUDIO_HOST=127.0.0.1"),
        (
            {"STUDIO_AUTH": "accounts", "STUDIO_ADMIN_EMAIL": "a@b.org", "STUDIO_ADMIN_PASSWORD": "short"},
            "STUDIO_ADMIN",
        ),
        ({"STUDIO_SDXL_MODEL": "./no/such/model"}, "STUDIO_SDXL_MODEL"),
        ({"STUDIO_STORAGE_URL": "gopher://x"}, "gopher"),
        ({"STUDIO_DATABASE_URL": "sqlite:////dev/null/studio.db"}, "STUDIO_DATABASE_URL"),
        ({"STUDIO_DATABASE_URL": "nonsense"}, "STUDIO_DATABASE_URL"),
        ({"STUDIO_DATABASE_URL": "oracle://of/nowhere"}, "STUDIO_DATABASE_URL"),
        ({"STUDIO_DATABASE_URL": "postgresql://127.0.0.1:1/none"}, "refused"),
        ({"STUDIO_DATA_DIR": "/dev/null/data"}, "STUDIO_DATA_DIR"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_said_in_words(tmp_path: Path, environment: dict[str, str], sentence: str) -> None:
    done = start(tmp_path, **environment)
    assert done.returncode != 0
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr.splitlines()[-1]
