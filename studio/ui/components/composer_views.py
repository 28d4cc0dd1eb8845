"""The small parts of the frame and the composer that Gradio has no component for."""

from __future__ import annotations

from typing import ClassVar

from studio.ui.components.json_view import JsonView


class Frame(JsonView):
    """The brand, the theme switch, the offline bar. Value: {"person": display name}."""

    MODULE: ClassVar[str] = "frame.js"
    SHELL: ClassVar[str] = ""


class ReferenceTile(JsonView):
    """The reference picture: drop, paste or pick one, or take one from the library. Value: {"id"} or None."""

    MODULE: ClassVar[str] = "reference.js"
    SHELL: ClassVar[str] = ""


class Estimate(JsonView):
    """How long the next job would take. Value: {"job_type", "count"?, "steps"?, "width"?, "height"?} or None."""

    MODULE: ClassVar[str] = "estimate.js"
    SHELL: ClassVar[str] = ""


class Notice(JsonView):
    """What stopped an order, in words, with the code to copy. Value: {"message", "code", "field"?} or None."""

    MODULE: ClassVar[str] = "notice.js"
    SHELL: ClassVar[str] = ""
