"""The screens over a small catalog, without anything behind them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import gradio as gr

from studio.services.container import Services
from studio.ui.layout import build_ui
from tests.small_catalog import small_catalog


def build(register: Callable[[], None]) -> gr.Blocks:
    # Building the screens reads the catalog and nothing else: the other services answer clicks.
    return build_ui(cast(Services, SimpleNamespace(catalog=small_catalog())), register)
