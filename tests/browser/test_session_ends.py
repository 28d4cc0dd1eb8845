"""A session that ends elsewhere while its page is open, in a real browser, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.painted_studio import PaintedStudio
from tests.browser.people_steps import OpenBrowser, painted, register, see_studio, sign_in

pytestmark = pytest.mark.browser

SOON_MS = 30_000
"""The stream of events ends within ten seconds after the session, and is opened anew every three."""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    with PaintedStudio(tmp_path_factory.mktemp("ends"), mode="accounts").serving() as served:
        yield served


@pytest.fixture
def ann(studio: PaintedStudio) -> str:
    return register(studio)


@pytest.fixture
def page(open_browser: OpenBrowser, studio: PaintedStudio, ann: str, size: str) -> Page:
    """Ann's workspace, where she has made pictures; her session has ended since."""
    page = open_browser(size).new_page()
    sign_in(page, studio.url, ann)
    painted(page, "a mast")
    page.locator("#prompt textarea").fill("a sail that took an hour to describe")
    mine = page.request.get(f"{studio.url}/api/sessions").json()["items"]
    for session in mine:
        ended = page.request.delete(f"{studio.url}/api/sessions/{session['id']}", headers={"Origin": studio.url})
        assert ended.status == 204
    return page


def told(page: Page) -> Locator:
    return page.get_by_text("You are signed out; your jobs go on.")


def sign_in_beside(page: Page, email: str, studio: PaintedStudio) -> None:
    """Follow the link, which opens a tab of its own, and sign in there."""
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in again").click()
    sign_in(opened.value, studio.url, email)
    see_studio(opened.value)
    opened.value.close()


def test_whoever_is_signed_out_is_told_and_goes_on_where_they_were(page: Page, studio: PaintedStudio, ann: str) -> None:
    page.locator("#generate").click()
    expect(told(page)).to_be_visible()
    sign_in_beside(page, ann, studio)
    expect(told(page)).to_be_hidden(timeout=SOON_MS)
    expect(page.locator("#prompt textarea")).to_have_value("a sail that took an hour to describe")
    page.locator("#generate").click()
    strip = page.locator(".ov-strip[data-job]", has_text="a sail that took an hour")
    expect(strip.locator(".ov-tile[data-asset] img")).to_have_count(6)


def test_rewriting_tells_it_and_leaves_the_words_alone(page: Page) -> None:
    page.get_by_role("button", name="Rewrite").click()
    expect(told(page)).to_be_visible()
    expect(page.locator("#prompt textarea")).to_have_value("a sail that took an hour to describe")
    expect(page.locator("#prompt textarea")).to_be_editable()


def test_the_page_tells_it_by_itself(page: Page) -> None:
    expect(told(page)).to_be_visible(timeout=SOON_MS)
    expect(page.get_by_text("Reconnecting…")).to_be_hidden()


def test_another_person_finds_nothing_of_the_one_before(page: Page, studio: PaintedStudio) -> None:
    page.locator("#generate").click()
    sign_in_beside(page, register(studio), studio)
    expect(page.locator(".ov-strip[data-job]")).to_have_count(0, timeout=SOON_MS)
    see_studio(page)
    expect(page.locator("#prompt textarea")).to_have_value("")
    assert "a mast" not in page.content()


def test_the_page_of_a_guest_who_signs_in_beside_it_begins_anew(
    open_browser: OpenBrowser, open_to_guests: PaintedStudio, size: str
) -> None:
    context = open_browser(size)
    page, beside = context.new_page(), context.new_page()
    page.goto(open_to_guests.url)
    painted(page, "a raft")
    sign_in(beside, open_to_guests.url, register(open_to_guests))
    see_studio(beside)
    page.evaluate("dispatchEvent(new Event('focus'))")  # a browser without a window has no tabs to come back to
    expect(page.get_by_role("link", name="account and sign-out")).to_be_visible(timeout=SOON_MS)
    see_studio(page)
    assert "a raft" not in page.content()


def test_a_browser_that_keeps_no_cookies_is_left_in_peace(
    open_browser: OpenBrowser, open_to_guests: PaintedStudio
) -> None:
    page = open_browser().new_page()
    loaded: list[str] = []
    page.on("load", lambda one: loaded.append(one.url))
    page.goto(open_to_guests.url)
    see_studio(page)
    for _ in range(3):  # another guest each time
        page.context.clear_cookies()
        page.evaluate("dispatchEvent(new Event('focus'))")
        page.wait_for_timeout(300)
    expect(told(page)).to_be_hidden()
    assert len(loaded) == 1
