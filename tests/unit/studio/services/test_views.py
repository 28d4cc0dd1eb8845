from __future__ import annotations

from studio.services.views import asset_json, iso


def test_times_are_iso_8601_utc_to_the_millisecond():
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_700_000_000.123) == "2023-11-14T22:13:20.123Z"


def test_an_asset_has_the_contracts_fields_and_addresses(desk):
    job = desk.submit(desk.alice, prompt="a red boat", negative_prompt="fog", seed=5)
    desk.deliver(desk.claim())
    row = desk.asset_rows(job["id"])[0]
    shown = asset_json(row)

    assert set(shown) == {
        *("id", "job_id", "user_id", "project_id", "parent_id", "kind", "mime_type", "width", "height", "frames"),
        *("fps", "bytes", "sha256", "seed", "index", "prompt", "negative_prompt", "enhanced_prompt", "job_type"),
        *("favourite", "rating", "tags", "created_at", "trashed_at", "url", "thumbnail_url", "download_url"),
        "preview_url",
    }
    assert (shown["prompt"], shown["negative_prompt"], shown["seed"]) == ("a red boat", "fog", 5)
    assert (shown["favourite"], shown["rating"], shown["tags"], shown["trashed_at"]) == (False, None, [], None)
    assert shown["url"] == f"/media/{row.id}"
    assert shown["thumbnail_url"] == f"/media/{row.id}/thumbnail"
    assert shown["download_url"] == f"/media/{row.id}?download=1"
    assert shown["preview_url"] is None
    row.kind = "video"
    assert asset_json(row)["preview_url"] == f"/media/{row.id}/preview"


def test_error_and_preview_addresses_change_with_the_preview(desk):
    from pipelines.contract import Progress, Stage

    job = desk.submit(desk.alice)
    claim = desk.claim()
    urls = []
    for fraction in (0.1, 0.2):
        desk.leases.renew(claim, Progress(stage=Stage.DENOISING, fraction=fraction, preview=b"x"), {})
        urls.append(desk.jobs.get(desk.alice, job["id"])["preview_url"])

    assert urls == [f"/api/jobs/{job['id']}/preview?n={number}" for number in (1, 2)]
