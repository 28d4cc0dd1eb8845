"""The screens are built from the catalog alone, and ask nobody outside for anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.context import Context

from studio.ui.layout import head_html, mount_options
from studio.ui.static_files import STATIC_DIR, STATIC_PREFIX
from tests.unit.studio.ui.small_screens import build

UI = STATIC_DIR.parent


def components(screens: gr.Blocks) -> dict[str, Any]:
    return {block.elem_id: block for block in screens.blocks.values() if getattr(block, "elem_id", None)}


async def test_register_runs_inside_the_blocks() -> None:
    seen: list[object] = []
    blocks = build(lambda: seen.append(Context.root_block))
    assert seen == [blocks]


def test_the_composer_shows_the_catalog(screens: gr.Blocks) -> None:
    found = components(screens)
    assert found["choice-quality"].choices == [("Fast", "fast"), ("High", "high")]
    assert found["choice-kind"].choices == [("Picture", "image"), ("Film", "video")]
    assert not found["choice-rewrite"].visible, "SDXL rewrites nothing"
    assert not found["frames"].visible, "pictures have no length"
    assert (found["steps"].value, found["count"].maximum, found["width"].value) == (2, 6, 64)
    assert found["scheduler"].choices[0][1] == "default"


def test_no_handler_of_the_screens_waits_in_the_queue_or_shows_in_the_api(screens: gr.Blocks) -> None:
    handlers = list(screens.fns.values())
    assert len(handlers) >= 10
    waiting = [handler for handler in handlers if handler.queue is not False]
    assert [handler.concurrency_id for handler in waiting] == ["rewriting"], "only text that streams needs the queue"
    assert 0 < waiting[0].concurrency_limit <= 4, "the lanes must find a slot"
    assert all(handler.api_visibility == "private" for handler in handlers)


def follows(screens: gr.Blocks, name: str, event: str) -> Any:
    """The handler that answers `event` of the component `name` and lays out a choice."""
    (found,) = (
        handler
        for handler in screens.fns.values()
        if (components(screens)[name]._id, event) in handler.targets and components(screens)["count"] in handler.outputs
    )
    return found


async def test_choosing_film_brings_a_length_a_fitting_shape_and_its_schedulers(screens: gr.Blocks) -> None:
    found = components(screens)
    said = {"choice-kind": "video", "choice-quality": "fast", "aspect": "1:1", "reference": {"starts_from": []}}
    shown = follows(screens, "choice-kind", "input").fn({found[name]: value for name, value in said.items()})
    length = shown[found["frames"]]
    assert (length["minimum"], length["maximum"], length["step"], length["value"]) == (5, 33, 4, 9)
    assert length["label"] == "Length: 9 frames · 1.1 s"
    assert shown[found["count"]]["visible"] is False
    assert [shown[found[name]] for name in ("aspect", "width", "height")] == ["16:9", 80, 48]
    assert [name for _, name in shown[found["scheduler"]]["choices"]] == ["default", "unipc", "euler"]
    assert "moves" in shown[found["prompt"]]["placeholder"]
    assert shown[found["reference"]]["starts_from"] == ["text", "video"]
    kept = follows(screens, "choice-kind", "input").fn(
        {found[name]: value for name, value in {**said, "aspect": "9:16"}.items()}
    )
    assert kept[found["aspect"]] == "9:16", "a shape that somebody chose stays"


def test_importing_components_writes_no_stubs() -> None:
    assert not list(UI.rglob("*.pyi"))


def test_values_never_enter_a_template(screens: gr.Blocks) -> None:
    """Gradio evaluates a filled template as JavaScript: a prompt with ${…} in it would run."""
    views = [block for block in screens.blocks.values() if isinstance(block, gr.HTML)]
    assert len(views) == 9
    for view in views:
        assert "{" not in view.html_template
        assert view.css_template == ""


def test_scripts_that_components_load_exist(screens: gr.Blocks) -> None:
    views = [block for block in screens.blocks.values() if isinstance(block, gr.HTML)]
    texts = [view.js_on_load or "" for view in views] + [head_html()]
    named = {name for text in texts for name in re.findall(rf"{STATIC_PREFIX}/([\w.]+)", text)}
    assert {"feed.js", "library.js", "viewer.js", "jobs.js", "rewriting.js", "appearance.js"} <= named
    assert all((STATIC_DIR / name).is_file() for name in named)


def test_the_mount_shows_no_footer_and_keeps_no_history() -> None:
    options = mount_options()
    assert options["footer_links"] == []
    assert options["run_history"] is False


def test_the_estimate_follows_everything_that_decides_the_run_time(screens: gr.Blocks) -> None:
    found = components(screens)
    (asks,) = (handler for handler in screens.fns.values() if handler.outputs == [found["estimate"]])
    watched = {screens.blocks[block].elem_id for block, event in asks.targets if event == "change"}
    assert watched >= {"choice-quality", "choice-kind", "count", "steps", "width", "height", "frames"}
    assert asks.trigger_mode == "always_last", "the last of many changes is the one that is asked about"

    said = {"choice-quality": "high", "count": 2, "steps": 9, "width": 64, "height": 128}
    answer = asks.fn({found[name]: value for name, value in said.items()})
    work = {"count": 2, "steps": 9, "width": 64, "height": 128, "rewriting_s": 0.0}
    assert answer == {"job_type": "sdxl_image_high", **work}
    assert asks.fn({found[name]: value for name, value in {**said, "width": 6}.items()}) is None, "not typed out yet"


def test_the_theme_asks_no_outside_host() -> None:
    theme = mount_options()["theme"]
    css = theme._get_theme_css()
    assert theme._stylesheets == []
    assert set(re.findall(r"https?://([\w.]+)", css)) <= {"www.w3.org"}, "only the name of the SVG namespace"


@pytest.mark.parametrize("path", sorted(STATIC_DIR.iterdir()), ids=lambda path: path.name)
def test_static_files_are_small_and_ask_nobody(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([\w.]+)", text))
    assert hosts <= {"www.w3.org"}, "only the name of the SVG namespace"
    if path.suffix == ".js":
        assert len(text.splitlines()) <= 300
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        assert not re.search(r"\bon[a-z]+=[\"']", text), "no inline event handlers"
        for imported in re.findall(r'from "\./([\w.]+)"', text):
            assert (STATIC_DIR / imported).is_file(), imported
