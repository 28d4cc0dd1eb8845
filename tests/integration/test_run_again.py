"""Pictures and films made again from their receipts, and compared with the first."""

from __future__ import annotations

from typing import Any

import httpx

from tests.integration.small_studio import WHO, ServedStudio, SmallStudio

NOBODYS = "0193a1b2-0000-7000-8000-000000000000"


def finished(web: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    answer = web.get(f"/api/jobs/{job['id']}/wait", params={"timeout_s": 60}).raise_for_status()
    ended: dict[str, Any] = answer.json()
    assert ended["status"] == "completed", ended
    return ended


def made(web: httpx.Client, **order: Any) -> dict[str, Any]:
    answer = web.post("/api/queue-job", json={"prompt": "a red boat", **order})
    assert answer.status_code == 201, answer.text
    return finished(web, answer.json())


def again(web: httpx.Client, asset_id: str) -> dict[str, Any]:
    answer = web.post(f"/api/assets/{asset_id}/run-again")
    assert answer.status_code == 201, answer.text
    return finished(web, answer.json())


def compared(web: httpx.Client, asset_id: str, other_id: str) -> dict[str, Any]:
    answer = web.get(f"/api/assets/{asset_id}/compare", params={"with": other_id}).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def test_one_picture_of_several_is_made_again_and_is_equal(web: httpx.Client) -> None:
    job = made(web, job_type="sdxl_image_high", count=3, seed=40, steps=3, width=96, negative_prompt="fog")
    second = job["assets"][1]
    once_more = again(web, second)
    assert once_more["config"] == job["config"] | {"count": 1, "seed": 41, "again_of": second}
    assert (once_more["type"], once_more["prompt"]) == (job["type"], job["prompt"])
    assert once_more["negative_prompt"] == "fog"
    found = compared(web, second, once_more["assets"][0])
    assert (found["equal"], found["what"], found["largest_difference"]) == (True, "pixels", 0)
    assert found["share_different"] == 0.0
    assert found["differences"] == [{"fact": "count", "before": 3, "after": 1}]


def test_a_film_is_made_again_and_is_equal(web: httpx.Client) -> None:
    job = made(web, job_type="video_fast", frames=13, seed=9)
    found = compared(web, job["assets"][0], again(web, job["assets"][0])["assets"][0])
    assert (found["equal"], found["what"], found["differences"]) == (True, "frames", [])


def test_a_rewritten_prompt_is_taken_as_it_was_rewritten(web: httpx.Client) -> None:
    job = made(web, job_type="image7b_fast_enhanced", seed=3)
    once_more = again(web, job["assets"][0])
    assert (once_more["type"], once_more["prompt"]) == ("image_fast", job["enhanced_prompt"])
    assert once_more["enhanced_prompt"] is None
    assert compared(web, job["assets"][0], once_more["assets"][0])["differences"] == []


def test_what_differs_is_told(web: httpx.Client) -> None:
    first = made(web, count=1, seed=10)["assets"][0]
    other = made(web, count=1, seed=30, steps=3)["assets"][0]
    found = compared(web, first, other)
    assert (found["equal"], found["largest_difference"], found["share_different"]) == (False, 20, 1.0)
    assert found["differences"] == [
        {"fact": "seed", "before": 10, "after": 30},
        {"fact": "steps", "before": 2, "after": 3},
    ]


def test_works_of_different_shapes_have_no_pixel_differences(web: httpx.Client) -> None:
    picture = made(web, count=1, seed=10)["assets"][0]
    film = made(web, job_type="video_fast", seed=10)["assets"][0]
    found = compared(web, picture, film)
    assert (found["equal"], found["largest_difference"], found["share_different"]) == (False, None, None)
    assert {"fact": "kind", "before": "image", "after": "video"} in found["differences"]


def test_a_comparison_needs_two_assets_of_ones_own(served_studio: ServedStudio, web: httpx.Client) -> None:
    served_studio.studio.add_person("carol")
    mine = made(web, count=1)["assets"][0]
    with httpx.Client(base_url=served_studio.url, headers={WHO: "carol"}, timeout=60) as carol:
        hers = made(carol, count=1)["assets"][0]
        for asset_id, other_id in ((mine, hers), (hers, mine), (hers, NOBODYS)):
            answer = carol.get(f"/api/assets/{asset_id}/compare", params={"with": other_id})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert carol.post(f"/api/assets/{mine}/run-again").status_code == 404
    answer = web.get(f"/api/assets/{mine}/compare")
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "with")


def test_nothing_is_left_of_a_comparison(served_studio: ServedStudio, web: httpx.Client) -> None:
    mine = made(web, count=1)["assets"][0]
    assert compared(web, mine, mine)["equal"] is True
    assert list((served_studio.folder / "scratch").glob("compare-*")) == []


def test_what_it_started_from_must_still_be_there(web: httpx.Client) -> None:
    start = made(web, count=1)["assets"][0]
    job = made(web, count=1, image=start)
    web.delete(f"/api/assets/{start}").raise_for_status()
    answer = web.post(f"/api/assets/{job['assets'][0]}/run-again")
    assert (answer.status_code, answer.json()["error"]["field"]) == (404, "image")


async def test_everybody_sees_how_full_the_devices_are(
    shut_door: httpx.AsyncClient, untouched_studio: SmallStudio
) -> None:
    untouched_studio.add_person("erin")
    for person in ("", "erin"):
        answer = await shut_door.get("/api/device", headers={WHO: person})
        assert answer.status_code == 200
        for device in answer.json()["devices"]:
            assert set(device) == {"device", "budget_bytes", "used_bytes"}
