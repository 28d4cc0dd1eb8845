"""The memory meter, the system panel, a model that loads, and pictures made again, in a real browser over painted
models. What a device holds is played to the screens: a worker that paints holds nothing worth showing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.painted_studio import PaintedStudio

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000
GB = 10**9
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
PLAN = {"rung": 3, "sub_batch": 2, "tiled": True, "residency": "encode_first"}
RECEIPT = {
    "checkpoint": "tiny",
    "fingerprint": "a1b2c3d4e5f6",
    "plan": PLAN,
    "dtype": "float16",
    "attention": "native",
    "cache": {"kind": "first_block", "threshold": 0.05},
    "compile": False,
    "versions": {"torch": "2.13.0"},
    "seeds": [40, 41, 42],
    "memory": {"planned_bytes": 9_600_000_000, "peak_bytes": 9_100_000_000},
    "out_of_memory_under": PLAN | {"rung": 2, "tiled": False},
}


def worker(lane: str, state: str, **more: Any) -> dict[str, Any]:
    usual = {"index": 0, "pid": 1, "run_id": None, "rss_bytes": GB, "started_at": 1.0, "restarts": 0}
    return {**usual, "last_death": None, "device": "cuda:0", "parts": {}, "lane": lane, "state": state, **more}


def holder(name: str, working_bytes: int = 0, **parts: int) -> dict[str, Any]:
    own = {"holder": name, "parts": parts, "context_bytes": GB // 2, "working_bytes": working_bytes}
    return {**own, "running": working_bytes > 0}


def system() -> dict[str, Any]:
    given_way = {"device": "cuda:0", "holder": "qwen-0", "parts": ["model"], "whole": False, "bytes": 8_700_000_000}
    return {
        "workers": [
            worker("sdxl", "busy"),
            worker("wan", "idle", restarts=1, last_death="The worker was killed."),
            worker("qwen", "stopped"),
        ],
        "waiting": {"sdxl": 0, "wan": 2, "qwen": 0},
        "devices": [
            {
                "device": "cuda:0",
                "budget_bytes": 48 * GB,
                "held_bytes": 25 * GB,
                "working_bytes": 6 * GB,
                "waiting": 1,
                "holders": [holder("sdxl-0", 6 * GB, unet=5 * GB, vae=GB // 3), holder("wan-0", text_encoder=11 * GB)],
                "last_given_way": [
                    {**given_way, "at": time.time() - 130, "reason": "wan-0 needs 5.2 GB more for its run"}
                ],
            }
        ],
    }


def device() -> dict[str, Any]:
    return {"devices": [{"device": "cuda:0", "budget_bytes": 48 * GB, "used_bytes": 31 * GB}]}


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[Route], None]:
    """A route that lets `change` edit each job of the studio's answer."""

    def handle(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for job in body.get("items", [body]):
            change(job)
        route.fulfill(response=answer, json=body)

    return handle


@pytest.fixture(params=list(SIZES))
def screen(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[BrowserContext]:
    """A desk and a phone, on which nothing may stick out."""
    phone = request.param == "phone"
    with chromium.new_context(viewport=SIZES[request.param], has_touch=phone, is_mobile=phone) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture
def page(screen: BrowserContext, painted: PaintedStudio) -> Iterator[Page]:
    """A page on which no script may fail and nothing may stick out."""
    page = screen.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.route("**/api/device", lambda route: route.fulfill(json=device()))
    page.route("**/api/system", lambda route: route.fulfill(json=system()))
    yield page
    assert wrong == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def visit(page: Page, studio: PaintedStudio, path: str = "/") -> None:
    page.goto(studio.url + path)
    expect(page.locator(".ov-frame-end button")).to_be_visible(timeout=PATIENCE_MS)


def made(studio: PaintedStudio, **order: Any) -> dict[str, Any]:
    answer = httpx.post(f"{studio.url}/api/queue-job", json={"prompt": "a red boat", **order}, timeout=60)
    assert answer.status_code == 201, answer.text
    waiting = f"{studio.url}/api/jobs/{answer.json()['id']}/wait"
    job: dict[str, Any] = httpx.get(waiting, params={"timeout_s": 60}, timeout=90).raise_for_status().json()
    assert job["status"] == "completed", job
    return job


def test_the_meter_opens_a_panel_that_explains_the_memory(page: Page, painted: PaintedStudio) -> None:
    visit(page, painted)
    meter = page.locator(".ov-memory")
    expect(meter).to_contain_text("31/48")
    expect(meter).to_have_attribute("aria-label", re.compile("31 of 48 GB in use"))
    meter.click()
    panel = page.get_by_role("dialog", name="System")
    expect(panel.locator(".ov-device")).to_contain_text("31 of 48 GB in use")
    expect(panel.locator(".ov-device")).to_contain_text("1 run waits for room")
    widths = panel.locator(".ov-device-bar i").evaluate_all(
        "nodes => nodes.map((node) => parseFloat(node.style.width))"
    )
    assert [round(width) for width in widths] == [12, 12, 24], "SDXL's weights, its run, WAN's weights"
    expect(panel.locator("[data-worker=sdxl-0]")).to_contain_text("Working")
    expect(panel.locator("[data-worker=sdxl-0]")).to_contain_text("UNet5.0 GB", use_inner_text=False)
    expect(panel.locator("[data-worker=wan-0]")).to_contain_text("1 restart. The worker was killed.")
    expect(panel.locator("[data-worker=qwen-0]")).to_contain_text("Asleep")
    expect(panel.locator(".ov-gave-way")).to_contain_text("Qwen: language model, 8.7 GB")
    expect(panel.locator(".ov-gave-way")).to_contain_text("WAN needs 5.2 GB more for its run · 2 min ago")
    box = panel.bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= size["width"]
    assert box["y"] + box["height"] <= size["height"]


def test_the_panel_asks_while_it_is_open_and_no_longer(page: Page, painted: PaintedStudio) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/system" in request.url else None)
    visit(page, painted)
    expect(page.locator(".ov-memory")).to_contain_text("31/48")
    assert asked == []
    page.locator(".ov-memory").click()
    with page.expect_request("**/api/system"):
        expect(page.locator("[data-worker=wan-0]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="System")).to_have_count(0)
    expect(page.locator(".ov-memory")).to_be_focused()
    before = len(asked)
    page.wait_for_timeout(3000)
    assert len(asked) == before


def test_who_is_no_administrator_sees_how_full_it_is(screen: BrowserContext, painted: PaintedStudio) -> None:
    page = screen.new_page()
    page.route("**/api/device", lambda route: route.fulfill(json=device()))
    refused = {"error": {"code": "forbidden", "message": "This is for administrators of the studio."}}
    page.route("**/api/system", lambda route: route.fulfill(status=403, json=refused))
    visit(page, painted)
    page.locator(".ov-memory").click()
    panel = page.get_by_role("dialog", name="System")
    expect(panel).to_contain_text("31 of 48 GB in use")
    expect(panel).to_contain_text("Administrators see here what each worker does.")


def test_without_a_device_there_is_no_meter(screen: BrowserContext, painted: PaintedStudio) -> None:
    page = screen.new_page()
    page.route("**/api/device", lambda route: route.fulfill(json={"devices": []}))
    with page.expect_response("**/api/device"):
        visit(page, painted)
    expect(page.locator(".ov-memory")).to_be_hidden()


def test_a_model_that_loads_is_a_stage_with_a_progress_of_its_own(page: Page, painted: PaintedStudio) -> None:
    job = made(painted, count=1)

    def load(shown: dict[str, Any]) -> None:
        if shown["id"] == job["id"]:
            shown |= {"status": "processing", "stage": "loading", "assets": [], "finished_at": None}
            shown["progress"] = {"fraction": 0.01, "step": 1, "steps": 4, "queue_position": 0, "eta_s": None}

    page.route("**/api/jobs?*", changed(load))
    visit(page, painted)
    strip = page.locator(f".ov-strip[data-job='{job['id']}']")
    expect(strip.locator(".ov-progress-words")).to_contain_text("Loading the model, 2 of 4")
    expect(strip.get_by_role("progressbar", name="Loading the model")).to_have_attribute("aria-valuenow", "25")
    page.locator("#tab-jobs-button").click()
    row = page.locator(f".ov-job[data-job='{job['id']}']")
    expect(row).to_contain_text("Loading the model")
    expect(row).to_contain_text("part 2 of 4")
    expect(row.get_by_role("img", name="Loading the model, 2 of 4")).to_be_visible()


def test_the_receipt_tells_the_plan_in_words(page: Page, painted: PaintedStudio) -> None:
    job = made(painted, count=3, seed=40)
    for pattern in ("**/api/jobs?*", f"**/api/jobs/{job['id']}"):
        page.route(pattern, changed(lambda shown: shown.update(receipt=RECEIPT)))
    visit(page, painted, f"/?asset={job['assets'][0]}")
    receipt = page.locator(".ov-receipt")
    plan = "The text encoders make room before denoising, 2 at a time, decoded tile by tile"
    expect(receipt).to_contain_text(plan, timeout=PATIENCE_MS)
    for fact in ("Precisionfloat16", "Attentionnative", "Step cachefirst block, threshold 0.05", "Compiledno"):
        expect(receipt).to_contain_text(fact, use_inner_text=False)
    expect(receipt).to_contain_text("Fingerprinta1b2c3d4e5", use_inner_text=False)
    expect(receipt).to_contain_text("Second trymemory ran out under a larger plan", use_inner_text=False)
    expect(receipt).to_contain_text("Memory9.1 GB at most, 9.6 GB planned", use_inner_text=False)
    expect(receipt).to_contain_text("torch 2.13.0")


def test_a_picture_is_made_again_beside_the_first_and_found_equal(page: Page, painted: PaintedStudio) -> None:
    job = made(painted, count=3, seed=40)
    visit(page, painted, f"/?asset={job['assets'][1]}")
    viewer = page.locator(".ov-viewer")
    viewer.get_by_role("button", name="Run again and compare").click()
    verdict = viewer.locator(".ov-verdict")
    expect(verdict).to_have_text("Equal, pixel for pixel.", timeout=PATIENCE_MS)
    expect(viewer.locator(".ov-pair img")).to_have_count(2)
    expect(viewer.locator(".ov-difference-table tbody tr")).to_have_text(["Pictures at once31"], use_inner_text=False)
    left, right = (viewer.locator(".ov-pair img").nth(number).bounding_box() for number in (0, 1))
    assert left is not None
    assert right is not None
    assert left["width"] == right["width"] > 100
    assert left["x"] + left["width"] <= right["x"]
    viewer.get_by_role("button", name="Back").click()
    expect(viewer.locator(".ov-pair")).to_have_count(0)
    expect(viewer.locator(".ov-large")).to_be_visible()
    viewer.get_by_role("button", name="Close").click()
    newest = page.locator(".ov-strip").first
    expect(newest).to_contain_text("made again")
    newest.locator(".ov-tile-open").click()
    viewer.get_by_role("button", name="Compare with the first").click()
    expect(verdict).to_have_text("Equal, pixel for pixel.")


def test_a_film_is_made_again_and_what_differs_is_told(page: Page, painted: PaintedStudio) -> None:
    job = made(painted, job_type="video_fast", seed=7)
    differs = {"fact": "plan.tiled", "before": False, "after": True}
    found = {"equal": False, "what": "frames", "largest_difference": 1, "share_different": 0.034}
    page.route("**/compare?*", lambda route: route.fulfill(json={**found, "differences": [differs]}))
    visit(page, painted, f"/?asset={job['assets'][0]}")
    viewer = page.locator(".ov-viewer")
    viewer.get_by_role("button", name="Run again and compare").click()
    told = "The same to the eye: 3.4 % of the pixels differ, by at most 1 of 255."
    expect(viewer.locator(".ov-verdict")).to_have_text(told, timeout=PATIENCE_MS)
    expect(viewer.locator(".ov-pair video")).to_have_count(2)
    expect(viewer.locator(".ov-difference-table tbody")).to_have_text("Decoded in tilesnoyes", use_inner_text=False)


def test_what_cannot_be_made_again_is_told(screen: BrowserContext, painted: PaintedStudio) -> None:
    start = made(painted, count=1)["assets"][0]
    job = made(painted, count=1, image=start)
    httpx.delete(f"{painted.url}/api/assets/{start}").raise_for_status()
    page = screen.new_page()
    visit(page, painted, f"/?asset={job['assets'][0]}")
    page.locator(".ov-viewer").get_by_role("button", name="Run again and compare").click()
    expect(page.locator(".ov-verdict")).to_contain_text("There is no such image.")


def test_an_answer_that_comes_after_the_end_of_its_job_is_old_news(page: Page, painted: PaintedStudio) -> None:
    asset_id = made(painted, count=1)["assets"][0]
    visit(page, painted, f"/?asset={asset_id}")

    def late(route: Route) -> None:
        answer = route.fetch()
        waiting = f"{painted.url}/api/jobs/{answer.json()['id']}/wait"
        assert httpx.get(waiting, params={"timeout_s": 60}, timeout=90).json()["status"] == "completed"
        time.sleep(1.0)  # the event stream tells it meanwhile
        route.fulfill(response=answer)

    page.route("**/run-again", late)
    page.locator(".ov-viewer").get_by_role("button", name="Run again and compare").click()
    expect(page.locator(".ov-verdict")).to_have_text("Equal, pixel for pixel.")
