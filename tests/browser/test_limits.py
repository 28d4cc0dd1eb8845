"""Limits and usage in a real browser, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from studio.people import Person
from tests.browser.painted_studio import PaintedStudio
from tests.browser.people_steps import (
    PATIENCE_MS,
    OpenBrowser,
    painted,
    register,
    see_studio,
    sign_in,
)
from tests.integration.people import HERE, make_admin

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaintedStudio]:
    with PaintedStudio(tmp_path_factory.mktemp("limits"), mode="accounts").serving() as served:
        yield served


@pytest.fixture(scope="module")
def root(studio: PaintedStudio) -> Person:
    return make_admin(studio.studio)


def order(page: Page, prompt: str) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#generate").click()


def sticks_out(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, wider)


def test_a_full_queue_says_when_there_is_a_place_and_keeps_the_prompt(
    open_browser: OpenBrowser, studio: PaintedStudio, root: Person, size: str
) -> None:
    page = open_browser(size).new_page()
    sign_in(page, studio.url, register(studio))
    see_studio(page)
    me = page.request.get(f"{studio.url}/api/me").json()["id"]
    studio.studio.services.allowances.change(root, me, {"pending_jobs": 1}, HERE)
    order(page, "a slow boat")
    slow = page.locator(".ov-strip[data-status=processing]", has_text="a slow boat")
    expect(slow).to_be_visible(timeout=PATIENCE_MS)
    order(page, "a red boat")
    expect(page.locator(".ov-strip[data-status=pending]", has_text="a red boat")).to_be_visible(timeout=PATIENCE_MS)

    order(page, "one boat more")

    notice = page.locator(".ov-notice.ov-limit")
    expect(notice).to_contain_text("You have 1 job waiting, as many as you may. The next place is free in ")
    expect(page.locator("#prompt textarea")).to_have_value("one boat more")
    expect(page.locator(".ov-strip", has_text="one boat more")).to_have_count(0)
    assert sticks_out(page) == 0
    notice.get_by_role("link", name="Your limits").click()
    page.wait_for_url("**/account#usage")
    waiting = page.locator("#usage li", has_text="Jobs waiting")
    expect(waiting).to_contain_text("1 of 1")
    expect(waiting.get_by_role("meter", name="Jobs waiting")).to_be_visible()
    assert sticks_out(page) == 0
    for job in page.request.get(f"{studio.url}/api/jobs").json()["items"]:
        page.request.post(f"{studio.url}/api/jobs/{job['id']}/cancel")


def test_a_job_tells_its_gpu_time_and_what_it_cost(open_browser: OpenBrowser, studio: PaintedStudio, size: str) -> None:
    page = open_browser(size).new_page()
    sign_in(page, studio.url, register(studio))
    painted(page, "a white boat")
    page.locator("#tab-jobs-button").click()
    page.locator("#jobs .ov-row-open", has_text="a white boat").click()
    details = page.locator("#jobs .ov-details")
    expect(details.locator("dt", has_text="GPU time")).to_be_visible()
    expect(details).to_contain_text("USD")
    page.goto(f"{studio.url}/account")
    expect(page.locator("#usage .list li")).to_contain_text("1 run")
    expect(page.locator("#usage")).to_contain_text("which cost under 0.01 USD")


def test_an_admin_sets_limits_without_any_script(
    open_browser: OpenBrowser, studio: PaintedStudio, root: Person, size: str
) -> None:
    email = register(studio)
    page = open_browser(size, java_script_enabled=False).new_page()
    sign_in(page, studio.url, "admin@example.org", path="/login?next=/people")
    mine = page.locator("li", has_text=email)
    mine.get_by_text("Limits…").click()
    expect(mine.get_by_label("Jobs waiting")).to_have_attribute("placeholder", "100")
    mine.get_by_label("Jobs waiting").fill("7")
    mine.get_by_label("Storage, GB").fill("0.5")
    mine.get_by_label("GPU minutes a month").fill("unlimited")
    mine.get_by_role("button", name="Set limits").click()

    expect(page.locator(".notice.good")).to_contain_text("The limits are changed")
    granted = [entry["granted"] for entry in studio.studio.services.allowances.list(root) if entry["name"] == email]
    assert granted == [{"pending_jobs": 7, "storage_mb": 512, "gpu_minutes": None}]
    mine.get_by_text("Limits…").click()
    expect(mine.get_by_label("Storage, GB")).to_have_value("0.5")
    mine.get_by_label("Jobs waiting").fill("many")
    mine.get_by_role("button", name="Set limits").click()
    expect(page.locator(".notice.bad")).to_contain_text('Jobs waiting: write a number, "unlimited" or nothing.')
