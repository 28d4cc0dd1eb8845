"""The small parts of the frame and the composer that Gradio has no component for."""

from __future__ import annotations

from typing import ClassVar

from studio.ui.components.json_view import JsonView


class Frame(JsonView):
    """The brand, the theme switch, the offline bar. Value: {"person": display name}."""

    MODULE: ClassVar[str] = "frame.js"
    SHELL: ClassVar[str] = ""


class ReferenceTile(JsonView):
    """What to start from: drop, paste or pick a picture, or take one or a film from the library.

    Value: {"id"?, "kind"?: "image" | "video", "makes": what the composer would make, "starts_from": what that allows}.
    """

    MODULE: ClassVar[str] = "reference.js"
    SHELL: ClassVar[str] = ""


class Estimate(JsonView):
    """How long the next job would take.

    Value: {"job_type", "rewriting_s"?, "count"?, "steps"?, "width"?, "height"?, "frames"?} or None.
    """

    MODULE: ClassVar[str] = "estimate.js"
    SHELL: ClassVar[str] = ""


class PromptRewriter(JsonView):
    """The ✨ in the prompt's corner, and the way back afterwards.

    Value: {"state": "idle" | "working" | "done", "original"?: the prompt as it was, "note"?: why nothing changed}.
    Raises `rewrite`, and `stop` and `undo` with {"original"}.
    """

    MODULE: ClassVar[str] = "rewriting.js"
    RAISES: ClassVar[tuple[str, ...]] = ("rewrite", "stop", "undo")
    SHELL: ClassVar[str] = ""


class Notice(JsonView):
    """What stopped an order, in words, with the code to copy. Value: {"message", "code", "field"?} or None."""

    MODULE: ClassVar[str] = "notice.js"
    SHELL: ClassVar[str] = ""
