"""Two people in two browsers on one server: nobody sees anything of anybody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.painted_studio import PaintedStudio
from tests.browser.people_steps import (
    LOGIN,
    PATIENCE_MS,
    SIZES,
    OpenBrowser,
    painted,
    register,
    see_studio,
    sign_in,
)

pytestmark = pytest.mark.browser

HEAR_EVENTS = """
window.heard = [];
window.EventSource = class extends EventSource {
  constructor(...wanted) {
    super(...wanted);
    this.addEventListener("job", (event) => window.heard.push(event.data));
  }
};
"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    with PaintedStudio(tmp_path_factory.mktemp("people"), mode="accounts").serving() as served:
        yield served


def listening(context: BrowserContext, url: str) -> tuple[Page, list[str]]:
    """A page in the studio, and the texts that reach it from now on, apart from those of its event stream."""
    context.add_init_script(HEAR_EVENTS)
    page = context.new_page()
    texts: list[str] = []

    def note(answer: Any) -> None:
        kind = answer.headers.get("content-type", "")
        if kind.startswith("application/json"):
            texts.append(answer.text())

    page.on("requestfinished", lambda request: note(request.response()))
    page.goto(url)
    return page, texts


def everything_seen(page: Page, texts: list[str]) -> str:
    """All that has come to the page: answers, events and what stands in it on every screen."""
    shown = []
    for name in ("library", "jobs", "workspace"):
        page.locator(f"#tab-{name}-button").click()
        page.wait_for_timeout(600)
        shown.append(page.content())
    heard = page.evaluate("window.heard")
    assert heard, "the event stream is not listened to"
    return "\n".join([*shown, *heard, *texts, json.dumps(page.evaluate("performance.getEntries().map((e) => e.name)"))])


def assert_apart(first: Page, second: Page, url: str, ways: list[list[str]]) -> None:
    """Both make pictures at the same time; neither gets to know anything of the other's."""
    firsts = painted(first, "a red boat under a lighthouse")
    seconds = painted(second, "two white horses in the snow")
    mine, others = (everything_seen(page, texts) for page, texts in zip((first, second), ways, strict=True))
    assert all(mark in mine for mark in firsts.marks)
    assert all(mark in others for mark in seconds.marks)
    assert [mark for mark in seconds.marks if mark in mine] == []
    assert [mark for mark in firsts.marks if mark in others] == []
    for page, own, foreign in ((first, firsts, seconds), (second, seconds, firsts)):
        get = page.context.request.get
        assert [get(f"{url}/api/jobs/{made.job}").status for made in (own, foreign)] == [200, 404]
        assert [get(f"{url}/api/assets/{made.assets[0]}").status for made in (own, foreign)] == [200, 404]
        for address in ("/media/{}", "/media/{}/thumbnail?size=256", "/media/{}?download=1"):
            asked = [get(url + address.format(made.assets[0])).status for made in (own, foreign)]
            assert asked == [200, 404], address
        assert len(get(f"{url}/api/jobs").json()["items"]) == 1
        assert len(get(f"{url}/api/assets").json()["items"]) == len(own.assets)
        page.goto(f"{url}/#library")
        expect(page.locator("#library .ov-shown-count")).to_have_text("6 pictures", timeout=PATIENCE_MS)


def test_two_people_in_two_browsers_see_nothing_of_each_other(open_browser: OpenBrowser, studio: PaintedStudio) -> None:
    pages, ways = [], []
    for size in SIZES:
        page, texts = listening(context := open_browser(size), studio.url)
        sign_in(page, studio.url, register(studio))
        assert context.cookies()
        pages.append(page)
        ways.append(texts)
    assert_apart(pages[0], pages[1], studio.url, ways)


def test_two_guests_see_nothing_of_each_other_and_a_way_to_sign_in(
    open_browser: OpenBrowser, open_to_guests: PaintedStudio
) -> None:
    pages, ways = [], []
    for size in SIZES:
        page, texts = listening(open_browser(size), open_to_guests.url)
        see_studio(page)
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        pages.append(page)
        ways.append(texts)
    assert_apart(pages[0], pages[1], open_to_guests.url, ways)
    pages[1].get_by_role("link", name="Sign in").click()
    pages[1].wait_for_url(LOGIN)
    expect(pages[1].get_by_role("link", name="Go on as a guest")).to_be_visible()
