"""The jobs screen: counts, filters and a row a job that opens into its details."""

from __future__ import annotations

from typing import ClassVar

from studio.ui.components.json_view import JsonView


class JobTable(JsonView):
    """Value: {"job_types": [the catalog's JSON]}. Raises `reuse` {"job_id"}."""

    MODULE: ClassVar[str] = "jobs.js"
    RAISES: ClassVar[tuple[str, ...]] = ("reuse",)
