"""The main job, as a stranger does it: a prompt, six pictures, and they are still there after a restart."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.live import StudioServer

pytestmark = pytest.mark.browser
PROMPT = "a red balloon over the sea at sunset"
JOB_TIMEOUT_MS = 120_000
MakeStudio = Callable[..., StudioServer]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        yield context.new_page()


def visit(page: Page, url: str) -> None:
    """Open the studio and wait until it is there, as a person does."""
    page.goto(url)
    expect(page.locator(".ov-frame-end button")).to_be_visible(timeout=30_000)
    expect(page.locator("#job-feed [role=feed]")).to_have_attribute("aria-busy", "false", timeout=30_000)


def order(page: Page, url: str, prompt: str) -> None:
    visit(page, url)
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#prompt textarea").press("Control+Enter")


def shown_pictures(page: Page, within: str) -> int:
    """How many pictures inside `within` have really been decoded by the browser."""
    script = "nodes => nodes.filter(node => node.complete && node.naturalWidth > 0).length"
    count: int = page.locator(f"{within} .ov-tile img").evaluate_all(script)
    return count


def test_six_pictures_from_a_prompt_and_again_after_a_restart(
    page: Page, database_url: str, make_studio: MakeStudio
) -> None:
    """On either kind of database."""
    server = make_studio(STUDIO_DATABASE_URL=database_url)
    order(page, server.url, PROMPT)
    strip = page.locator(".ov-strip[data-job]").first
    expect(strip).to_contain_text(PROMPT, timeout=20_000)
    expect(strip.locator(".ov-tile[data-asset] img")).to_have_count(6, timeout=JOB_TIMEOUT_MS)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.ov-strip img')].filter(n => n.complete && n.naturalWidth).length === 6"
    )

    assert server.stop(signal.SIGTERM) == 0
    server.start()

    page.goto(server.url)
    page.get_by_role("tab", name="Library").first.click()
    expect(page.locator("#library .ov-tile[data-asset]")).to_have_count(6, timeout=30_000)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#library .ov-tile img')].every(n => n.complete && n.naturalWidth > 0)"
    )
    assert shown_pictures(page, "#library") == 6


def test_a_closed_tab_does_not_stop_the_job(chromium: Browser, make_studio: MakeStudio) -> None:
    server = make_studio()
    with chromium.new_context() as context:
        page = context.new_page()
        visit(page, server.url)
        page.get_by_text("Advanced").first.click()
        steps = page.locator("#steps input[type=number]")
        steps.fill("30")
        steps.press("Tab")
        page.locator("#prompt textarea").fill(PROMPT)
        page.locator("#generate").click()
        expect(page.locator(".ov-strip[data-job]").first).to_contain_text(PROMPT, timeout=20_000)
        job_id = page.locator(".ov-strip[data-job]").first.get_attribute("data-job")
        assert job_id is not None
        server.wait_until(job_id, lambda job: job["stage"] == "denoising" and job["progress"]["step"] >= 2)
        page.close()

    job = server.wait_completed(job_id)
    assert job["attempt"] == 1
    assert job["config"]["steps"] == 30

    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator(f".ov-strip[data-job='{job_id}'] .ov-tile[data-asset] img")).to_have_count(
            6, timeout=30_000
        )


def test_a_refused_order_is_told_and_keeps_what_was_written(page: Page, studio_server: StudioServer) -> None:
    before = httpx.get(f"{studio_server.url}/api/jobs").json()["items"]
    order(page, studio_server.url, "x" * 10_000)
    expect(page.locator("#notice")).to_contain_text("4000", timeout=20_000)
    assert len(page.locator("#prompt textarea").input_value()) == 10_000
    assert httpx.get(f"{studio_server.url}/api/jobs").json()["items"] == before
