"""Films and rewritten prompts in a real browser, over a studio whose models are painted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.painted_studio import PaintedStudio
from tests.live import wait_for

pytestmark = pytest.mark.browser

PATIENCE_MS = 60_000
SHORT = "a boat at night"
RICH = "a boat at night in soft light, with a calm camera and a wide view"


@pytest.fixture
def desk(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture
def page(desk: BrowserContext, painted: PaintedStudio) -> Iterator[Page]:
    """The workspace, which must stay free of errors."""
    page = desk.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    visit(page, painted)
    yield page
    assert wrong == []


@pytest.fixture(scope="module")
def film(painted: PaintedStudio) -> dict[str, Any]:
    """A finished film of 17 frames."""
    return finished(painted, prompt="a kite rises", job_type="video_fast", frames=17, seed=7)


def finished(studio: PaintedStudio, **order: Any) -> dict[str, Any]:
    job: dict[str, Any] = httpx.post(f"{studio.url}/api/queue-job", json=order, timeout=60).raise_for_status().json()

    def ended() -> bool:
        job.update(httpx.get(f"{studio.url}/api/jobs/{job['id']}", timeout=60).raise_for_status().json())
        return job["status"] not in ("pending", "processing")

    wait_for(ended, 120)
    assert job["status"] == "completed", job
    return job


def newest_job(studio: PaintedStudio) -> dict[str, Any]:
    job: dict[str, Any] = httpx.get(f"{studio.url}/api/jobs", params={"limit": 1}, timeout=60).json()["items"][0]
    return job


def visit(page: Page, studio: PaintedStudio, path: str = "/") -> None:
    page.goto(studio.url + path)
    expect(page.locator(".ov-frame-end button")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#job-feed [role=feed]")).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)


def pick(page: Page, axis: str, label: str) -> None:
    page.locator(f"#choice-{axis} label", has_text=label).click()
    expect(page.locator(f"#choice-{axis} label.selected")).to_contain_text(label, timeout=PATIENCE_MS)


def prompt(page: Page) -> Locator:
    return page.locator("#prompt textarea")


def strip_of(page: Page, job_id: str) -> Locator:
    return page.locator(f".ov-strip[data-job='{job_id}']")


# --- the composer


def test_a_film_has_a_length_and_no_count_and_pictures_the_other_way_round(page: Page) -> None:
    expect(page.locator("#count")).to_be_visible()
    expect(page.locator("#frames")).to_be_hidden()
    pick(page, "kind", "Film")
    expect(page.locator("#frames")).to_contain_text("Length: 9 frames · 1.1 s")
    expect(page.locator("#count")).to_be_hidden()
    expect(page.locator("#choice-engine")).to_be_hidden()
    expect(page.locator("#aspect label.selected")).to_have_text("16:9")
    expect(prompt(page)).to_have_attribute("placeholder", re.compile("moves"))
    page.locator("#frames input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#frames")).to_contain_text("Length: 17 frames · 2.1 s")
    pick(page, "kind", "Picture")
    expect(page.locator("#aspect label.selected")).to_have_text("1:1")
    expect(page.locator("#choice-engine label.selected")).to_have_text("SDXL")
    expect(page.locator("#choice-rewrite")).to_be_hidden()
    pick(page, "engine", "WAN")
    expect(page.locator("#choice-rewrite")).to_be_visible()


def test_a_film_from_the_screen_to_the_player(page: Page, painted: PaintedStudio) -> None:
    pick(page, "kind", "Film")
    prompt(page).fill("a red boat sails left at sunset")
    expect(page.locator(".ov-estimate span")).to_contain_text("≈")
    page.locator("#generate").click()
    tile = page.locator(".ov-strip[data-job]").first.locator(".ov-tile[data-asset]")
    expect(tile).to_have_count(1, timeout=PATIENCE_MS)
    expect(tile.locator(".ov-length")).to_have_text("1.1 s")
    job = newest_job(painted)
    assert (job["type"], job["config"]["frames"], job["config"]["width"]) == ("video_fast", 9, 80)

    tile.locator(".ov-tile-open").click()
    viewer = page.locator(".ov-viewer")
    expect(viewer).to_contain_text("Frames9, 8 a second", use_inner_text=False)
    expect(viewer).to_contain_text("MP4")


def test_reuse_brings_back_a_film_with_its_length(page: Page, painted: PaintedStudio, film: dict[str, Any]) -> None:
    strip_of(page, film["id"]).locator(".ov-strip-actions").get_by_label("More actions").click()
    page.get_by_role("menuitem", name="Reuse settings").click()
    expect(prompt(page)).to_have_value("a kite rises")
    expect(page.locator("#frames")).to_contain_text("Length: 17 frames")
    expect(page.locator("#choice-kind label.selected")).to_have_text("Film")
    page.locator("#generate").click()
    expect(page.locator(".ov-strip[data-job]").first).not_to_have_attribute("data-job", film["id"])
    assert newest_job(painted)["config"] == film["config"]


def test_an_impossible_reference_is_refused_at_once_with_what_to_set(
    page: Page, painted: PaintedStudio, film: dict[str, Any]
) -> None:
    picture = finished(painted, prompt="a hill", count=1)["assets"][0]
    use = "([id, kind]) => document.dispatchEvent(new CustomEvent('ov:reference', { detail: { id, kind } }))"
    pick(page, "kind", "Film")
    expect(page.locator("#reference")).to_contain_text("a film of your library")
    page.evaluate(use, [picture, "image"])
    expect(page.locator("#notice")).to_contain_text("STUDIO_WAN_MODEL")
    page.evaluate(use, [film["assets"][0], "video"])
    expect(page.locator("#notice")).to_be_empty()
    expect(page.locator("#strength")).to_be_visible()
    expect(page.locator("#paint")).to_be_hidden()
    prompt(page).fill("a kite falls")
    page.locator("#generate").click()
    expect(page.locator(".ov-strip[data-job]").first).to_contain_text("a kite falls")
    assert newest_job(painted)["config"]["image"] == film["assets"][0]
    pick(page, "kind", "Picture")
    expect(page.locator("#notice")).to_contain_text("Choose a picture")


# --- rewriting


def test_a_prompt_is_rewritten_before_ones_eyes_and_had_back(page: Page) -> None:
    prompt(page).fill(SHORT)
    page.get_by_role("button", name="Rewrite").click()
    expect(prompt(page)).to_have_value(RICH, timeout=PATIENCE_MS)
    expect(page.locator("#rewriter [role=status]")).to_contain_text("Rewritten")
    expect(prompt(page)).to_be_editable()
    page.get_by_role("button", name="Undo").click()
    expect(prompt(page)).to_have_value(SHORT)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


def test_rewriting_is_stopped_by_keyboard_and_frees_the_lane(page: Page) -> None:
    prompt(page).fill("a slow boat")
    page.get_by_role("button", name="Rewrite").focus()
    page.keyboard.press("Enter")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_focused()
    expect(prompt(page)).to_have_value(re.compile("soft light"), timeout=PATIENCE_MS)
    expect(prompt(page)).not_to_be_editable()
    page.keyboard.press("Enter")
    expect(prompt(page)).to_have_value("a slow boat")
    expect(prompt(page)).to_be_editable()
    prompt(page).fill(SHORT)
    page.get_by_role("button", name="Rewrite").click()
    expect(prompt(page)).to_have_value(RICH, timeout=PATIENCE_MS)


@pytest.mark.parametrize(
    ("written", "told", "where"),
    [
        ("an unusable boat", "lost its subject", "#rewriter"),
        ("an impossible boat", "could not be rewritten", "#notice"),
        ("", "Write a prompt first", "#notice"),
    ],
)
def test_what_cannot_be_rewritten_stays_and_is_told(page: Page, written: str, told: str, where: str) -> None:
    prompt(page).fill(written)
    page.get_by_role("button", name="Rewrite").click()
    expect(page.locator(where)).to_contain_text(told, timeout=PATIENCE_MS)
    expect(prompt(page)).to_have_value(written)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    expect(page.get_by_role("button", name="Rewrite")).to_be_visible()


def test_an_enhanced_job_says_what_it_does_and_shows_what_it_made_of_the_prompt(
    page: Page, painted: PaintedStudio
) -> None:
    pick(page, "kind", "Film")
    pick(page, "rewrite", "Rewritten")
    expect(page.locator(".ov-estimate")).to_contain_text("rewriting")
    prompt(page).fill("a slow swan")
    page.locator("#generate").click()
    strip = page.locator(".ov-strip[data-job]").first
    expect(strip).to_contain_text("Rewriting the prompt", timeout=PATIENCE_MS)
    strip.get_by_label("Cancel this job").click()
    expect(strip).to_contain_text("Cancelled", timeout=PATIENCE_MS)

    job = finished(painted, prompt=SHORT, job_type="video7b_fast_enhanced")
    rewritten = strip_of(page, job["id"]).locator(".ov-rewritten summary")
    expect(rewritten).to_contain_text(RICH)
    expect(strip_of(page, job["id"]).locator(".ov-strip-prompt")).to_have_text(SHORT)
    rewritten.focus()
    page.keyboard.press("Enter")
    expect(strip_of(page, job["id"]).locator("details")).to_have_attribute("open", "")

    noted = finished(painted, prompt="an unusable boat", job_type="image7b_fast_enhanced")
    expect(strip_of(page, noted["id"]).locator(".ov-note")).to_contain_text("lost its subject")


# --- looking at films


def test_a_film_plays_seeks_and_pauses_by_space(page: Page, painted: PaintedStudio, film: dict[str, Any]) -> None:
    if not page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.42E01E\"')"):
        pytest.skip("This Chromium was built without H.264.")
    visit(page, painted, f"/?asset={film['assets'][0]}")
    video = page.locator(".ov-viewer video")
    expect(video).to_have_js_property("muted", True)
    page.wait_for_function("document.querySelector('video').currentTime > 0.1")
    page.keyboard.press("Space")
    expect(video).to_have_js_property("paused", True)
    with page.expect_event("console", lambda said: said.text == "sought"):
        video.evaluate("node => { node.onseeked = () => console.log('sought'); node.currentTime = 1.5; }")
    assert video.evaluate("node => node.currentTime") == pytest.approx(1.5)
    assert video.evaluate("node => node.duration") == pytest.approx(17 / 8, abs=0.02)
    page.keyboard.press("Space")
    expect(video).to_have_js_property("paused", False)
    part = httpx.get(f"{painted.url}/media/{film['assets'][0]}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, len(part.content)) == (206, 100)


def test_a_tile_moves_while_one_points_at_it(page: Page, film: dict[str, Any]) -> None:
    tile = strip_of(page, film["id"]).locator(".ov-tile[data-asset]")
    expect(tile.locator("img")).to_have_count(1)
    tile.hover()
    moving = tile.locator(".ov-moving")
    expect(moving).to_have_attribute("src", f"/media/{film['assets'][0]}/preview")
    page.wait_for_function("document.querySelector('.ov-moving').naturalWidth > 0")
    page.mouse.move(5, 5)
    expect(moving).to_have_count(0)
    page.emulate_media(reduced_motion="reduce")
    tile.hover()
    expect(tile.get_by_label("Download")).to_be_visible()
    expect(moving).to_have_count(0)


def test_a_running_film_shows_its_moving_preview_and_none_moves_where_that_is_not_wanted(
    page: Page, film: dict[str, Any]
) -> None:
    running = {**film, "id": "f" * 8, "status": "processing", "stage": "denoising", "assets": []}
    running["preview_url"] = f"/media/{film['assets'][0]}/preview"
    page.evaluate("job => import('/static/store.js').then((store) => store.putJob(job))", running)
    strip = strip_of(page, running["id"])
    expect(strip.locator("img.ov-fill")).to_have_attribute("src", re.compile("/preview$"))
    expect(strip).to_contain_text("Painting")
    page.emulate_media(reduced_motion="reduce")
    still = {**running, "id": "e" * 8}
    page.evaluate("job => import('/static/store.js').then((store) => store.putJob(job))", still)
    expect(strip_of(page, still["id"]).locator("canvas.ov-fill")).to_be_visible()


def test_the_library_is_narrowed_to_films(page: Page, painted: PaintedStudio, film: dict[str, Any]) -> None:
    finished(painted, prompt="two hills", count=2)
    page.locator("#tab-library-button").click()
    tiles = page.locator("#library .ov-tile[data-asset]")
    page.get_by_label("Search prompts").fill("hills")
    expect(tiles).to_have_count(2)
    expect(page.locator(".ov-shown-count")).to_have_text("2 pictures")
    page.get_by_label("Search prompts").fill("kite rises")
    page.locator("#library").get_by_label("Kind").select_option("video")
    expect(page.locator("#library .ov-film[data-asset]").first).to_be_visible()
    expect(page.locator(".ov-shown-count")).to_contain_text("film")
    page.locator("#library").get_by_label("Kind").select_option("image")
    expect(page.locator("#library")).to_contain_text("Nothing fits these filters")


def test_the_first_visit_offers_a_film(desk: BrowserContext, painted: PaintedStudio) -> None:
    page = desk.new_page()
    page.route("**/api/jobs?*", lambda route: route.fulfill(json={"items": [], "next": None}))
    visit(page, painted)
    page.get_by_role("button", name="a red boat sails left at sunset").click()
    expect(prompt(page)).to_have_value("a red boat sails left at sunset")
    expect(page.locator("#choice-kind label.selected")).to_have_text("Film")
    expect(page.locator("#aspect label.selected")).to_have_text("16:9")


def test_nothing_sticks_out_on_a_phone(chromium: Browser, painted: PaintedStudio, film: dict[str, Any]) -> None:
    with chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True) as context:
        phone = context.new_page()
        visit(phone, painted)
        pick(phone, "kind", "Film")
        expect(strip_of(phone, film["id"]).locator(".ov-tile[data-asset]")).to_be_attached()
        assert phone.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        box = strip_of(phone, film["id"]).locator(".ov-tile[data-asset]").bounding_box()
        assert box is not None
        assert box["width"] > 300, "a film is as wide as the phone"
