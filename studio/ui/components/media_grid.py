"""The library: every picture, grouped by day."""

from __future__ import annotations

from typing import ClassVar

from studio.ui.components.json_view import JsonView


class MediaGrid(JsonView):
    """Value: {"job_types": [the catalog's JSON]}, which the toolbar's choices come from."""

    MODULE: ClassVar[str] = "library.js"
    RAISES: ClassVar[tuple[str, ...]] = ("reuse",)
