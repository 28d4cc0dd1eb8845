"""The base of the components that draw themselves in the browser from JSON.

A value never reaches `html_template`: Gradio evaluates the filled template as a JavaScript template literal, so that a
prompt with `${…}` in it would run as code. The template is a fixed shell, the value travels as data, and a module
under `static/` builds the nodes and sets text as text.
"""

from __future__ import annotations

import json
from abc import ABCMeta
from typing import Any, ClassVar

import gradio as gr
from gradio.component_meta import ComponentMeta, updateable

from studio.ui.static_files import static_url


class _LeavesTheTreeAlone(ComponentMeta):
    """Gradio's metaclass writes a .pyi file beside every module that subclasses a component, as it is imported. This
    one does not: importing does nothing, and the events of these classes are their own."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        if "__init__" in attrs:
            attrs["__init__"] = updateable(attrs["__init__"])
        return ABCMeta.__new__(mcs, name, bases, attrs)


class JsonView(gr.HTML, metaclass=_LeavesTheTreeAlone):
    """Draws `value` (JSON) with `mount` of `static/<MODULE>` and raises the events named in `RAISES`."""

    MODULE: ClassVar[str]
    RAISES: ClassVar[tuple[str, ...]] = ()
    SHELL: ClassVar[str] = '<div class="ov-skeleton"></div>'

    def __init__(self, value: Any = None, **options: Any) -> None:
        super().__init__(
            value,
            html_template=self.SHELL,
            js_on_load=(
                f"import({json.dumps(static_url(self.MODULE))})"
                f".then((module) => module.mount({{element, trigger, props, watch}}, {json.dumps(self.RAISES)}))"
            ),
            apply_default_css=False,
            **options,
        )
