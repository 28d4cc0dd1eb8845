"""The library: everything a person has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.ui.components.media_grid import MediaGrid

if TYPE_CHECKING:
    from studio.services.container import Services


def build_library(services: Services) -> MediaGrid:
    """Lay out the library and return its grid. The browser asks the REST routes for the pictures itself."""
    return MediaGrid({"job_types": services.catalog.as_json()}, elem_id="library")
