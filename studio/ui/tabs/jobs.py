"""The jobs: what runs, what waits, what became of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.ui.components.job_table import JobTable

if TYPE_CHECKING:
    from studio.services.container import Services


def build_jobs(services: Services) -> JobTable:
    """Lay out the jobs screen and return its table. The browser asks the REST routes for the rows itself."""
    return JobTable({"job_types": services.catalog.as_json()}, elem_id="jobs")
