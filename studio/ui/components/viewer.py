"""The overlay that shows one picture large, with its facts and what can be done with it."""

from __future__ import annotations

from typing import ClassVar

from studio.ui.components.json_view import JsonView


class Viewer(JsonView):
    """Opens on `?asset=<id>` and when a tile asks. Raises `reuse` {"job_id", "seed"}."""

    MODULE: ClassVar[str] = "viewer.js"
    RAISES: ClassVar[tuple[str, ...]] = ("reuse",)
    SHELL: ClassVar[str] = ""
