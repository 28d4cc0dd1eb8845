"""The frame: navigation, the tabs and the viewer over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from studio.ui.components.composer_views import Frame
from studio.ui.components.viewer import Viewer
from studio.ui.static_files import STATIC_DIR, static_url
from studio.ui.tabs.jobs import build_jobs
from studio.ui.tabs.library import build_library
from studio.ui.tabs.workspace import build_workspace, wire_reuse
from studio.ui.theme import studio_theme

if TYPE_CHECKING:
    from studio.services.container import Services

TITLE = "OurVidz Studio"
UPLOADS_TIDIED_EVERY_S = 3600
UPLOADS_KEPT_S = 86_400
"""Files that came through Gradio's own upload: whatever is used of them is copied to the media at once."""


def build_ui(services: Services, register: Callable[[], None]) -> gr.Blocks:
    """The screens over `services`. `register` adds the lanes and the API endpoints inside the Blocks."""
    tidying = (UPLOADS_TIDIED_EVERY_S, UPLOADS_KEPT_S)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=tidying) as blocks:
        register()  # first: Gradio numbers names that come twice, and clients rely on these
        Frame({}, elem_id="frame")
        with gr.Tabs(elem_id="nav"):
            with gr.Tab("Workspace", id="workspace", elem_id="tab-workspace"):
                composer = build_workspace(services)
            with gr.Tab("Library", id="library", elem_id="tab-library"):
                library = build_library(services)
            with gr.Tab("Jobs", id="jobs", elem_id="tab-jobs"):
                jobs = build_jobs(services)
        viewer = Viewer({}, elem_id="viewer")
        wire_reuse(composer, services, library, jobs, viewer)
    return blocks


def mount_options() -> dict[str, Any]:
    """What `gr.mount_gradio_app` needs for these screens: in Gradio 6 the look belongs to the mount, not the Blocks."""
    return {"theme": studio_theme(), "head": head_html(), "footer_links": [], "run_history": False}


def head_html() -> str:
    """What goes into the page's head. Gradio adds it from a script, so a linked stylesheet would come after the first
    drawing; and it rewrites the selectors of what it is given as `css`. Hence the stylesheet itself."""
    stylesheet = (STATIC_DIR / "studio.css").read_text(encoding="utf-8")
    return (
        '<meta name="color-scheme" content="dark light">'
        f"<style>{stylesheet}</style>"
        f'<script src="{static_url("appearance.js")}"></script>'
        f'<link rel="icon" type="image/svg+xml" href="{static_url("icon.svg")}">'
    )
