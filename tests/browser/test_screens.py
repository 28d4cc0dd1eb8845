"""The screens in a real browser over a running studio: composer, feed, library, viewer, jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.live import StudioServer

pytestmark = pytest.mark.browser

HOSTILE = 'a kite <img src=x onerror=document.title="owned"> ${document.title="owned"} `{{prompt}}`'
JOB_TIMEOUT_MS = 180_000
EXAMPLE = "a red balloon over the sea at sunset"


@pytest.fixture(scope="module")
def pictures(studio_server: StudioServer) -> dict[str, Any]:
    """A finished job with two pictures whose prompt tries to break out of the page."""
    return studio_server.wait_completed(studio_server.submit(HOSTILE, seed=41, count=2)["id"])


@pytest.fixture
def screen(chromium: Browser, studio_server: StudioServer) -> Iterator[Page]:
    """A page at 1440 x 900 that must stay free of errors and ask no outside host for anything."""
    with chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True) as context:
        page = context.new_page()
        wrong = watch(page, studio_server.url)
        yield page
        assert wrong == []


def watch(page: Page, url: str) -> list[str]:
    """What goes wrong on `page` from here on: script errors, console errors, requests to other hosts."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if is_complaint(said) else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:", "blob:")) else wrong.append(request.url),
    )
    return wrong


def is_complaint(said: Any) -> bool:
    return bool(said.type == "error")


def visit(page: Page, url: str, path: str = "/") -> None:
    page.goto(url + path)
    expect(page.locator(".ov-frame-end button")).to_be_visible(timeout=30_000)
    expect(page.locator(".ov-strip-skeleton")).to_have_count(0)


def strip_of(page: Page, job_id: str) -> Locator:
    return page.locator(f".ov-strip[data-job='{job_id}']")


def newest_job(server: StudioServer) -> dict[str, Any]:
    job: dict[str, Any] = httpx.get(f"{server.url}/api/jobs", params={"limit": 1}).json()["items"][0]
    return job


def open_library(page: Page, server: StudioServer) -> Locator:
    visit(page, server.url)
    page.locator("#tab-library-button").click()
    tiles = page.locator("#library .ov-tile[data-asset]")
    expect(tiles.first).to_be_visible(timeout=20_000)
    return tiles


# --- workspace


def test_an_order_appears_at_once_and_becomes_pictures(screen: Page, studio_server: StudioServer) -> None:
    visit(screen, studio_server.url)
    screen.locator("#prompt textarea").fill(EXAMPLE)
    screen.locator("#prompt textarea").press("Control+Enter")
    newest = screen.locator(".ov-strip[data-job]").first
    expect(newest).to_contain_text(EXAMPLE)
    expect(newest.locator(".ov-tile[data-asset] img")).to_have_count(6, timeout=JOB_TIMEOUT_MS)
    job = newest_job(studio_server)
    assert (job["prompt"], newest.get_attribute("data-job")) == (EXAMPLE, job["id"])
    expect(screen.locator("#prompt textarea")).to_have_value(EXAMPLE)


def test_a_job_that_waits_says_so_and_can_be_cancelled(screen: Page, studio_server: StudioServer) -> None:
    first = studio_server.submit(EXAMPLE, job_type="sdxl_image_high", steps=150)
    second = studio_server.submit("a boat at night", job_type="sdxl_image_high")
    visit(screen, studio_server.url)
    waiting = strip_of(screen, second["id"])
    expect(waiting).to_contain_text(re.compile("Starts in|Waiting"))
    expect(waiting).to_contain_text("one job ahead")
    expect(screen.locator("#tab-jobs-button")).to_have_attribute("data-badge", "2")
    for job in (second, first):
        strip_of(screen, job["id"]).get_by_label("Cancel this job").click()
    expect(waiting).to_contain_text("Cancelled")
    expect(strip_of(screen, first["id"])).to_contain_text("Cancelled", timeout=60_000)
    expect(waiting.get_by_role("button", name="Retry")).to_be_visible()


def test_the_prompt_is_shown_as_text(screen: Page, studio_server: StudioServer, pictures: dict[str, Any]) -> None:
    visit(screen, studio_server.url)
    expect(strip_of(screen, pictures["id"]).locator(".ov-strip-prompt")).to_have_text(HOSTILE)
    strip_of(screen, pictures["id"]).locator(".ov-tile-open").first.click()
    expect(screen.locator(".ov-viewer .ov-text p").first).to_have_text(HOSTILE)
    screen.keyboard.press("Escape")
    strip_of(screen, pictures["id"]).get_by_label("More actions").first.click()
    screen.get_by_role("menuitem", name="Reuse settings").click()
    expect(screen.locator("#prompt textarea")).to_have_value(HOSTILE)
    assert "owned" not in screen.title()


def test_a_refused_order_says_why_and_keeps_the_composer(screen: Page, studio_server: StudioServer) -> None:
    visit(screen, studio_server.url)
    screen.locator("#advanced .label-wrap").click()
    screen.locator("#width input").fill("33")
    screen.locator("#prompt textarea").fill("a small picture")
    screen.locator("#generate").click()
    expect(screen.locator("#notice")).to_contain_text("Width must be a multiple of")
    expect(screen.locator("#notice")).to_contain_text("invalid_input")
    expect(screen.locator("#prompt textarea")).to_have_value("a small picture")
    expect(screen.locator("#width input")).to_be_focused()


def test_the_recipe_follows_the_quality_and_the_size_the_shape(screen: Page, studio_server: StudioServer) -> None:
    types = {row["type"]: row for row in httpx.get(f"{studio_server.url}/api/job-types").json()}
    visit(screen, studio_server.url)
    screen.locator("#advanced .label-wrap").click()
    steps = screen.locator("#steps input[type=number]")
    expect(steps).to_have_value(str(types["sdxl_image_fast"]["defaults"]["steps"]))
    screen.locator("#choice-quality label", has_text="High").click()
    expect(steps).to_have_value(str(types["sdxl_image_high"]["defaults"]["steps"]))
    width, height = types["sdxl_image_high"]["aspects"]["3:2"]
    screen.locator("#aspect label", has_text="3:2").click()
    expect(screen.locator("#width input")).to_have_value(str(width))
    screen.locator("#swap").click()
    expect(screen.locator("#width input")).to_have_value(str(height))
    expect(screen.locator("#aspect label.selected")).to_have_text("2:3")


def test_the_estimate_follows_the_steps(screen: Page, studio_server: StudioServer) -> None:
    visit(screen, studio_server.url)
    screen.locator("#advanced .label-wrap").click()
    expect(screen.locator(".ov-estimate span")).to_contain_text("≈")
    with screen.expect_response(re.compile(r"/api/estimate\?.*steps=150")) as asked:
        screen.locator("#steps input[type=number]").fill("150")
        screen.locator("#steps input[type=number]").blur()
    expect(screen.locator(".ov-estimate span")).to_contain_text("≈")
    usual = httpx.get(f"{studio_server.url}/api/estimate", params={"job_type": "sdxl_image_fast"}).json()
    assert asked.value.json()["run_s"] > 3 * usual["run_s"]


def test_reuse_brings_back_every_setting(screen: Page, studio_server: StudioServer) -> None:
    asked = {"negative_prompt": "clouds", "steps": 3, "guidance": 2.5, "seed": 99, "count": 1, "scheduler": "ddim"}
    job = studio_server.wait_completed(studio_server.submit("a green hill", **asked)["id"])
    visit(screen, studio_server.url)
    strip_of(screen, job["id"]).locator(".ov-tile").first.hover()
    strip_of(screen, job["id"]).locator(".ov-tile").get_by_label("More actions").click()
    screen.get_by_role("menuitem", name="Reuse settings").click()
    expect(screen.locator("#prompt textarea")).to_have_value("a green hill")
    expect(screen.locator("#seed input")).to_have_value("99")
    screen.locator("#generate").click()
    expect(screen.locator(".ov-strip[data-job]").first).not_to_have_attribute("data-job", job["id"])
    again = newest_job(studio_server)
    assert again["config"] == job["config"]
    assert again["negative_prompt"] == "clouds"
    studio_server.wait_completed(again["id"])


def test_a_picture_as_reference_with_a_painted_mask(
    screen: Page, studio_server: StudioServer, pictures: dict[str, Any]
) -> None:
    visit(screen, studio_server.url)
    made = strip_of(screen, pictures["id"]).locator(".ov-tile[data-asset]").first
    made.hover()
    made.get_by_label("More actions").click()
    screen.get_by_role("menuitem", name="Use as reference").click()
    screen.locator("#paint").click()
    canvas = screen.locator("#mask canvas").first
    expect(canvas).to_be_visible(timeout=20_000)
    expect(screen.locator("#mask [aria-label='Brush']")).to_be_visible(timeout=20_000)
    canvas.scroll_into_view_if_needed()
    screen.wait_for_timeout(1000)  # the editor fits the picture to its canvas after it has appeared
    box = canvas.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    screen.mouse.move(middle[0] - 20, middle[1])
    screen.mouse.down()
    screen.mouse.move(middle[0] + 20, middle[1], steps=6)
    screen.mouse.up()
    screen.wait_for_timeout(500)
    screen.locator("#prompt textarea").fill("a bird")
    screen.locator("#generate").click()
    expect(screen.locator(".ov-strip[data-job]").first).to_contain_text("a bird", timeout=20_000)
    job = newest_job(studio_server)
    assert job["config"]["image"] == pictures["assets"][0]
    assert job["config"]["mask"] is not None
    assert studio_server.wait_completed(job["id"])["assets"]


# --- library and viewer


def test_the_library_finds_stars_and_filters(
    screen: Page, studio_server: StudioServer, pictures: dict[str, Any]
) -> None:
    tiles = open_library(screen, studio_server)
    screen.get_by_label("Search prompts").fill("kite")
    expect(tiles).to_have_count(2)
    tiles.first.hover()
    tiles.first.get_by_label("Favourite").click()
    expect(tiles.first.get_by_label("Favourite")).to_have_attribute("aria-pressed", "true")
    screen.locator("#library").get_by_role("button", name="Favourites").click()
    expect(tiles).to_have_count(1)
    tiles.first.hover()
    tiles.first.get_by_label("Favourite").click()
    expect(tiles).to_have_count(0)
    expect(screen.locator("#library")).to_contain_text("Nothing fits these filters")


def test_the_viewer_moves_closes_and_has_an_address(
    screen: Page, studio_server: StudioServer, pictures: dict[str, Any]
) -> None:
    visit(screen, studio_server.url, f"/?asset={pictures['assets'][0]}")
    viewer = screen.locator(".ov-viewer")
    expect(viewer).to_be_visible()
    expect(viewer).to_contain_text("Seed41", use_inner_text=False)
    expect(viewer).to_contain_text(f"Checkpoint{pictures['receipt']['checkpoint']}", use_inner_text=False)
    screen.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(screen).not_to_have_url(re.compile("asset="))

    strip_of(screen, pictures["id"]).locator(".ov-tile-open").first.click()
    expect(viewer).to_contain_text("1 of 2")
    screen.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("2 of 2")
    expect(screen).to_have_url(re.compile(f"asset={pictures['assets'][1]}"))
    with screen.expect_download() as download:
        viewer.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".png")


def test_an_unknown_picture_is_told_in_words(chromium: Browser, studio_server: StudioServer) -> None:
    with chromium.new_context() as context:
        page = context.new_page()
        visit(page, studio_server.url, "/?asset=01a204e3-126d-7dca-9448-1f7e9af18c67")
        expect(page.locator(".ov-viewer")).to_contain_text("This picture is not here")


def test_delete_asks_first_and_the_trash_gives_back(screen: Page, studio_server: StudioServer) -> None:
    studio_server.wait_completed(studio_server.submit("a doomed ladder", count=2)["id"])
    tiles = open_library(screen, studio_server)
    screen.get_by_label("Search prompts").fill("doomed")
    expect(tiles).to_have_count(2)
    tiles.first.locator(".ov-tile-open").click()
    viewer = screen.locator(".ov-viewer")
    viewer.get_by_role("button", name="Delete").click()
    question = screen.get_by_role("dialog", name="Delete this picture?")
    question.get_by_role("button", name="Keep").click()
    expect(viewer).to_contain_text("1 of 2")
    viewer.get_by_role("button", name="Delete").click()
    question.get_by_role("button", name="Delete").click()
    expect(viewer).to_contain_text("trash")
    screen.keyboard.press("Escape")
    expect(tiles).to_have_count(1)
    screen.locator("#library").get_by_role("button", name="Trash").click()
    expect(tiles).to_have_count(1)
    tiles.first.locator(".ov-tile-open").click()
    viewer.get_by_role("button", name="Restore").click()
    screen.keyboard.press("Escape")
    expect(tiles).to_have_count(0)
    screen.locator("#library").get_by_role("button", name="Trash").click()
    expect(tiles).to_have_count(2)


def test_the_trash_lets_go_for_good_after_asking(screen: Page, studio_server: StudioServer) -> None:
    job = studio_server.wait_completed(studio_server.submit("a paper crane", count=4)["id"])
    for asset_id in job["assets"]:
        httpx.delete(f"{studio_server.url}/api/assets/{asset_id}").raise_for_status()
    tiles = open_library(screen, studio_server)
    library, used = screen.locator("#library"), screen.locator(".ov-used")
    expect(used).to_contain_text(re.compile(r"[\d.]+ [KM]B used"))
    library.get_by_role("button", name="Trash", exact=True).click()
    screen.get_by_label("Search prompts").fill("paper crane")
    expect(tiles).to_have_count(4)

    tiles.first.locator(".ov-tile-open").click()
    viewer = screen.locator(".ov-viewer")
    viewer.get_by_role("button", name="Delete forever").click()
    question = screen.get_by_role("dialog", name="forever")
    expect(question).to_contain_text("cannot be undone")
    question.get_by_role("button", name="Keep").click()
    expect(viewer).to_contain_text("1 of 4")
    viewer.get_by_role("button", name="Delete forever").click()
    question.get_by_role("button", name="Delete forever").click()
    expect(viewer).to_contain_text("1 of 3")
    screen.keyboard.press("Escape")
    expect(tiles).to_have_count(3)

    tiles.first.hover()
    tiles.first.get_by_label("Select").check()
    screen.get_by_role("region", name="Selection").get_by_role("button", name="Delete forever").click()
    question.get_by_role("button", name="Delete forever").click()
    expect(tiles).to_have_count(2)

    def stored_bytes() -> int:
        return int(httpx.get(f"{studio_server.url}/api/storage").raise_for_status().json()["bytes"])

    before = stored_bytes()
    library.get_by_role("button", name="Empty trash").click()
    asked = screen.get_by_role("dialog", name="Empty the trash?")
    expect(asked).to_contain_text("cannot be undone")
    # The text may round to the same figure; that it was asked for anew may not be missing.
    with screen.expect_response(lambda answer: answer.url.endswith("/api/storage")):
        asked.get_by_role("button", name="Empty trash").click()
    expect(tiles).to_have_count(0)
    expect(library).to_contain_text("The trash is empty")
    expect(library.get_by_role("button", name="Empty trash")).to_be_hidden()
    assert httpx.get(f"{studio_server.url}/api/assets", params={"trashed": True}).json()["items"] == []
    assert stored_bytes() < before


def test_several_are_selected_and_deleted(screen: Page, studio_server: StudioServer) -> None:
    studio_server.wait_completed(studio_server.submit("a pair of lanterns", count=2)["id"])
    tiles = open_library(screen, studio_server)
    screen.get_by_label("Search prompts").fill("lanterns")
    expect(tiles).to_have_count(2)
    for at in (0, 1):
        tiles.nth(at).hover()
        tiles.nth(at).get_by_label("Select").check()
    bar = screen.get_by_role("region", name="Selection")
    expect(bar).to_contain_text("2 selected")
    bar.get_by_role("button", name="Delete").click()
    screen.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(tiles).to_have_count(0)
    screen.get_by_role("button", name="Undo").click()
    expect(tiles).to_have_count(2)


def test_new_pictures_arrive_in_an_open_library(screen: Page, studio_server: StudioServer) -> None:
    tiles = open_library(screen, studio_server)
    screen.get_by_label("Search prompts").fill("sudden owl")
    expect(screen.locator("#library")).to_contain_text("Nothing fits")
    studio_server.wait_completed(studio_server.submit("a sudden owl", count=1)["id"])
    expect(tiles).to_have_count(1)


# --- jobs


def test_a_row_opens_into_its_details(screen: Page, studio_server: StudioServer, pictures: dict[str, Any]) -> None:
    visit(screen, studio_server.url, "/#jobs")
    row = screen.locator(f".ov-job[data-job='{pictures['id']}']")
    expect(row).to_contain_text("Done")
    row.get_by_role("button", name=HOSTILE).click()
    expect(row.locator(".ov-details")).to_contain_text("Painting")
    expect(row.locator(".ov-details .ov-tile")).to_have_count(2)
    for fact in ("Attempts1", f"Checkpoint{pictures['receipt']['checkpoint']}", "Precision", "Device", "torch "):
        expect(row.locator(".ov-details")).to_contain_text(fact, use_inner_text=False)
    screen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row.get_by_role("button", name="Copy details").click()
    expect(screen.locator("#ov-toasts")).to_contain_text("copied")
    assert json.loads(screen.evaluate("navigator.clipboard.readText()")) == studio_server.job(pictures["id"])
    expect(row.locator(".ov-stagebar i").first).to_be_visible()
    screen.locator("#jobs").get_by_role("button", name="Running").click()
    expect(row).to_have_count(0)
    expect(screen.locator("#jobs")).to_contain_text("No job fits these filters")


def test_jobs_are_cancelled_and_retried_from_their_row(screen: Page, studio_server: StudioServer) -> None:
    job = studio_server.submit("a slow lighthouse", job_type="sdxl_image_high", steps=150)
    visit(screen, studio_server.url, "/#jobs")
    row = screen.locator(f".ov-job[data-job='{job['id']}']")
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("Cancelled", timeout=60_000)
    row.get_by_role("button", name="Retry").first.click()
    expect(row.get_by_role("button", name="Cancel")).to_be_visible()
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("Cancelled", timeout=60_000)
