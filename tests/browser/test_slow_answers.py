"""Somebody who is faster than the server's answers, in a real browser over painted models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.painted_studio import PaintedStudio

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000
HANDLERS = "**/gradio_api/run/**"


class SlowLine:
    """Keeps back what the page asks the handlers, until told to let it through or to cut it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._kept: list[Route] = []
        self._open = False
        page.route(HANDLERS, lambda route: route.continue_() if self._open else self._kept.append(route))

    def wait_for_questions(self, many: int = 1) -> None:
        while len(self._kept) < many:
            self._page.wait_for_timeout(20)

    def end(self, answer: Callable[[Route], None]) -> list[int]:
        """Answer what was kept back with `answer`, one after the other, and keep nothing back any more. Returns the
        answers' statuses."""
        self._open = True
        statuses = []
        for route in self._kept:
            answer(route)
            found = route.request.response()
            statuses.append(found.status if found else 0)
        return statuses


@pytest.fixture
def page(chromium: Browser, painted: PaintedStudio) -> Iterator[Page]:
    """The workspace with a prompt of this test alone."""
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(painted.url)
        expect(page.locator("#job-feed [role=feed]")).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
        expect(page.locator("#generate[data-keys]")).to_be_visible(timeout=PATIENCE_MS)
        yield page


def jobs(studio: PaintedStudio) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{studio.url}/api/jobs", timeout=60).json()["items"]
    return found


def press(page: Page, axis: str, label: str) -> None:
    page.locator(f"#choice-{axis} label", has_text=label).click()


def generate_too_early(page: Page) -> SlowLine:
    """Choose Film and press Generate before the choice is answered."""
    line = SlowLine(page)
    press(page, "kind", "Film")
    line.wait_for_questions()
    page.locator("#generate").click()
    expect(page.locator("#generate")).to_have_attribute("aria-busy", "true")
    return line


def test_the_shortcut_waits_for_an_example(page: Page, painted: PaintedStudio) -> None:
    """First of all: the examples are for those who have nothing yet."""
    line = SlowLine(page)
    example = page.locator(".ov-example").first
    words = example.inner_text()
    example.click()
    line.wait_for_questions()
    page.locator("#prompt textarea").press("Control+Enter")
    expect(page.locator("#generate")).to_have_attribute("aria-busy", "true")
    line.end(Route.continue_)
    expect(page.locator(".ov-strip[data-job]").first).to_be_visible()
    [job] = jobs(painted)
    assert job["prompt"] in words


def test_a_press_of_generate_waits_for_the_pick_before_it(page: Page, painted: PaintedStudio) -> None:
    before = len(jobs(painted))
    page.locator("#prompt textarea").fill("a boat, at once")
    line = generate_too_early(page)
    page.locator("#generate").click()  # whoever sees nothing happen presses again
    assert len(jobs(painted)) == before
    line.end(Route.continue_)
    expect(page.locator(".ov-strip[data-job]").first).to_contain_text("a boat, at once")
    expect(page.locator("#generate")).to_have_attribute("aria-busy", "false")
    made = jobs(painted)
    assert len(made) == before + 1
    assert (made[0]["type"], made[0]["config"]["frames"], made[0]["config"]["width"]) == ("video_fast", 9, 80)
    expect(page.locator("#notice")).to_be_empty()


def test_picks_and_shapes_in_quick_succession_are_not_refused(page: Page) -> None:
    line = SlowLine(page)
    press(page, "kind", "Film")
    line.wait_for_questions()  # first of all: its answer rules SDXL out, which the others still name
    press(page, "quality", "High")
    page.locator("#swap").click()
    page.locator("#aspect label", has_text="9:16").click()
    line.wait_for_questions(4)
    assert set(line.end(Route.continue_)) == {200}
    expect(page.locator("#frames")).to_be_visible()
    expect(page.locator("#choice-quality label.selected")).to_contain_text("High")


def test_where_the_pick_fails_nothing_is_ordered(page: Page, painted: PaintedStudio) -> None:
    before = len(jobs(painted))
    line = generate_too_early(page)
    line.end(lambda route: route.fulfill(status=500, json={"error": "Not today."}))
    expect(page.locator("#generate")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_text("That did not work.")).to_be_visible()
    assert len(jobs(painted)) == before


def test_a_line_that_was_cut_is_mended_and_what_was_typed_is_still_there(page: Page, painted: PaintedStudio) -> None:
    before = len(jobs(painted))
    page.get_by_role("button", name="Negative prompt").click()
    page.locator("#negative-prompt textarea").fill("fog")
    page.locator("#prompt textarea").fill("a boat, cut off")
    line = generate_too_early(page)
    line.end(Route.abort)
    expect(page.get_by_text("Connection to the server was lost")).to_be_visible()
    expect(page.get_by_text("Connection to the server was lost")).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator("#generate[data-keys]")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#prompt textarea")).to_have_value("a boat, cut off")
    assert len(jobs(painted)) == before
    page.locator("#generate").click()
    expect(page.locator(".ov-strip[data-job]").first).to_contain_text("a boat, cut off")
    assert jobs(painted)[0]["negative_prompt"] == "fog"


def test_a_draft_is_not_brought_back_to_a_page_that_was_not_reloaded(page: Page, painted: PaintedStudio) -> None:
    page.locator("#prompt textarea").fill("a boat, left behind")
    page.goto(painted.url + "/api/docs")
    for leave in (page.go_back, lambda: page.goto(painted.url)):
        leave()
        expect(page.locator("#generate[data-keys]")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#prompt textarea")).to_have_value("")
