"""The screens over a small catalog, without anything behind them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import gradio as gr

from studio.catalog import Defaults, PixelRules, build_catalog, sdxl_types
from studio.services.container import Services
from studio.ui.layout import build_ui


def build(register: Callable[[], None]) -> gr.Blocks:
    recipe = Defaults(steps=4, guidance=0.0, scheduler="lcm")
    pixels = {"sdxl": PixelRules(native=128, multiple=16, smallest=64, largest=256)}
    catalog = build_catalog(sdxl_types(fast=recipe, high=recipe, expected_s=(4.0, 12.0)), pixels)
    # Building the screens reads the catalog and nothing else: the other services answer clicks.
    return build_ui(cast(Services, SimpleNamespace(catalog=catalog)), register)
