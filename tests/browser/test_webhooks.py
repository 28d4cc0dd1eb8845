"""One's webhooks in a real browser, at a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.painted_studio import PaintedStudio
from tests.browser.people_steps import SIZES, OpenBrowser, browsers, register, sign_in
from tests.integration.people import make_admin
from tests.receivers import Receiver, receiving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    with PaintedStudio(tmp_path_factory.mktemp("webhooks"), mode="accounts").serving() as served:
        make_admin(served.studio)
        yield served


@pytest.fixture
def open_browser(chromium: Browser) -> Iterator[OpenBrowser]:
    with browsers(chromium) as make:
        yield make


def sticks_out(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, wider)


def reload_until(page: Page, text: str) -> None:
    """Look again, as a person does, until the latest delivery says `text`."""
    for _ in range(50):
        page.reload()
        if page.locator(".pill", has_text=text).count():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"No delivery is {text}.")


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES)
def test_a_webhook_is_added_tried_and_removed(
    open_browser: OpenBrowser, studio: PaintedStudio, size: str, scheme: str
) -> None:
    page = open_browser(size, color_scheme=scheme).new_page()
    sign_in(page, studio.url, register(studio), path="/login?next=/account")
    page.get_by_role("link", name="Manage webhooks").click()
    expect(page.get_by_text("You have no webhooks yet.")).to_be_visible()
    with receiving([410, 204]) as receiver:
        _add(page, receiver)
        assert sticks_out(page) == 0
        page.get_by_role("button", name="Send a test to News room").click()
        expect(page.get_by_text("The test is on its way.")).to_be_visible()
        reload_until(page, "failed")
        expect(page.get_by_text("410 Gone")).to_be_visible()
        assert sticks_out(page) == 0
        page.get_by_role("button", name="Switch on").click()
        page.get_by_role("button", name=re.compile(r"^Send webhook\.ping of .* again$")).click()
        expect(page.get_by_text("It is sent again.")).to_be_visible()
        reload_until(page, "delivered")
        assert len(set(receiver.ids)) == 1
        page.get_by_role("button", name="Switch off").click()
        expect(page.locator(".pill", has_text="switched off")).to_be_visible()
        page.get_by_role("button", name="Remove News room").click()
    expect(page.get_by_text("You have no webhooks yet.")).to_be_visible()
    expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()


def _add(page: Page, receiver: Receiver) -> None:
    """Add a webhook, first one that is refused, whose form stays as it was typed."""
    page.get_by_label("Address").fill("http://192.168.1.1/hook")
    page.get_by_label("What it is").fill("News room")
    page.get_by_label("were cancelled").uncheck()
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("not in the public internet")
    expect(page.get_by_label("What it is")).to_have_value("News room")
    expect(page.get_by_label("were cancelled")).not_to_be_checked()
    page.get_by_label("Address").fill(receiver.url)
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("code.secret")).to_contain_text("whsec_")
    expect(page.locator(".what", has_text="News room")).to_contain_text("completed, failed")
