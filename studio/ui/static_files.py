"""Where the browser finds the stylesheet and the scripts of `studio/ui/static`."""

from __future__ import annotations

from pathlib import Path

STATIC_DIR = Path(__file__).parent / "static"
STATIC_PREFIX = "/static"


def static_url(name: str) -> str:
    """Path of the file `name` on the studio's own host."""
    return f"{STATIC_PREFIX}/{name}"
