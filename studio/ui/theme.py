"""Gradio's components in the studio's language.

Every colour is a custom property of `static/studio.css`, which holds the dark and the light palette; here Gradio's
variables are pointed at them, for both of Gradio's modes alike.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

SYSTEM_FONTS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

_COLOURS = {
    "body_background_fill": "page",
    "body_text_color": "text",
    "body_text_color_subdued": "muted",
    "background_fill_primary": "panel",
    "background_fill_secondary": "raised",
    "border_color_primary": "line",
    "border_color_accent": "accent",
    "border_color_accent_subdued": "accent-soft",
    "color_accent": "accent",
    "color_accent_soft": "accent-soft",
    "link_text_color": "accent-text",
    "link_text_color_active": "accent-text",
    "link_text_color_hover": "accent-text",
    "link_text_color_visited": "accent-text",
    "block_background_fill": "clear",
    "block_border_color": "line",
    "block_label_background_fill": "clear",
    "block_label_text_color": "muted",
    "block_label_border_color": "clear",
    "block_title_background_fill": "clear",
    "block_title_text_color": "muted",
    "block_info_text_color": "muted",
    "panel_background_fill": "panel",
    "panel_border_color": "line",
    "input_background_fill": "field",
    "input_background_fill_focus": "field",
    "input_background_fill_hover": "field",
    "input_border_color": "line-strong",
    "input_border_color_focus": "accent",
    "input_border_color_hover": "line-hover",
    "input_placeholder_color": "faint",
    "slider_color": "accent",
    "checkbox_background_color": "field",
    "checkbox_background_color_focus": "field",
    "checkbox_background_color_hover": "field",
    "checkbox_background_color_selected": "accent",
    "checkbox_border_color": "line-strong",
    "checkbox_border_color_focus": "accent",
    "checkbox_border_color_hover": "line-hover",
    "checkbox_border_color_selected": "accent",
    "checkbox_label_background_fill": "raised",
    "checkbox_label_background_fill_hover": "hover",
    "checkbox_label_background_fill_selected": "accent-soft",
    "checkbox_label_border_color": "line",
    "checkbox_label_border_color_hover": "line-hover",
    "checkbox_label_border_color_selected": "accent",
    "checkbox_label_text_color": "text",
    "checkbox_label_text_color_selected": "text",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent-hover",
    "button_primary_border_color": "accent",
    "button_primary_border_color_hover": "accent-hover",
    "button_primary_text_color": "on-accent",
    "button_primary_text_color_hover": "on-accent",
    "button_secondary_background_fill": "raised",
    "button_secondary_background_fill_hover": "hover",
    "button_secondary_border_color": "line",
    "button_secondary_border_color_hover": "line-hover",
    "button_secondary_text_color": "text",
    "button_secondary_text_color_hover": "text",
    "button_cancel_background_fill": "raised",
    "button_cancel_background_fill_hover": "hover",
    "button_cancel_border_color": "line",
    "button_cancel_border_color_hover": "line-hover",
    "button_cancel_text_color": "text",
    "button_cancel_text_color_hover": "text",
    "error_background_fill": "panel",
    "error_border_color": "bad",
    "error_text_color": "bad",
    "error_icon_color": "bad",
    "loader_color": "accent",
    "stat_background_fill": "accent-soft",
    "table_even_background_fill": "panel",
    "table_odd_background_fill": "panel",
    "table_border_color": "line",
    "table_text_color": "text",
    "table_row_focus": "accent-soft",
    "accordion_text_color": "muted",
}
_SHAPES = {
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0px",
    "block_radius": "10px",
    "block_label_text_size": "12px",
    "block_label_text_weight": "400",
    "block_title_text_size": "12px",
    "block_title_text_weight": "400",
    "block_info_text_size": "12px",
    "body_text_size": "15px",
    "container_radius": "10px",
    "form_gap_width": "12px",
    "layout_gap": "16px",
    "input_border_width": "1px",
    "input_padding": "8px 12px",
    "input_radius": "6px",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 1px var(--ov-accent)",
    "input_text_size": "15px",
    "button_large_padding": "8px 16px",
    "button_large_radius": "6px",
    "button_large_text_size": "15px",
    "button_large_text_weight": "600",
    "button_small_padding": "4px 12px",
    "button_small_radius": "6px",
    "button_small_text_size": "13px",
    "button_small_text_weight": "400",
    "button_medium_padding": "8px 12px",
    "button_medium_radius": "6px",
    "button_medium_text_size": "13px",
    "button_medium_text_weight": "400",
    "button_primary_shadow": "none",
    "button_primary_shadow_hover": "none",
    "button_primary_shadow_active": "none",
    "button_secondary_shadow": "none",
    "button_secondary_shadow_hover": "none",
    "button_secondary_shadow_active": "none",
    "button_transform_hover": "none",
    "button_transform_active": "none",
    "button_transition": "background-color 120ms, border-color 120ms",
    "checkbox_label_padding": "4px 12px",
    "checkbox_label_gap": "4px",
    "checkbox_label_shadow": "none",
    "checkbox_label_text_size": "13px",
    "checkbox_label_text_weight": "400",
    "checkbox_shadow": "none",
}

_BEFORE_THE_STYLESHEET = {
    "body_background_fill": "var(--ov-page, #0b0b0d)",
    "body_text_color": "var(--ov-text, #f4f4f5)",
}
"""What the bare page shows for the moment until the palette is there."""


def studio_theme() -> gr.themes.Base:
    """The theme for the mount: system fonts only, so that no outside host is asked for anything."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.violet,
        neutral_hue=gr.themes.colors.zinc,
        radius_size=gr.themes.sizes.radius_md,
        font=list(SYSTEM_FONTS),
        font_mono=list(MONO_FONTS),
    )
    return theme.set(**_variables(theme))


def _variables(theme: gr.themes.Base) -> dict[str, Any]:
    """Theme variables; where Gradio keeps a second value for its dark mode, that one is the same."""
    values = {name: f"var(--ov-{colour})" for name, colour in _COLOURS.items()} | _SHAPES | _BEFORE_THE_STYLESHEET
    both = {f"{name}_dark": value for name, value in values.items() if hasattr(theme, f"{name}_dark")}
    return {name: value for name, value in {**values, **both}.items() if hasattr(theme, name)}
