from __future__ import annotations

import gradio as gr
import pytest

from tests.unit.studio.ui.small_screens import build


@pytest.fixture
async def screens() -> gr.Blocks:
    """Built on a running event loop, as in the program: without one Gradio makes a loop and leaves it open."""
    return build(lambda: None)
