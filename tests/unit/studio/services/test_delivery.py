from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipelines.contract import Artifact, GenerationResult
from studio.errors import TooLarge, UnfitFile
from studio.media.provenance import read_mp4, read_png
from studio.media.storage import MP4, MediaStorage, hover_key, thumbnail_key
from studio.services.claims import Claim
from studio.services.delivery import Delivery
from studio.services.library import LibraryService
from tests.small_films import box_names, film_at, moving_frames, probed

RECEIPT = {"checkpoint": "tiny-world", "fingerprint": "0123456789abcdef", "mode": "text"}


class Dock:
    """A claimed job, the worker's scratch folder and the storage."""

    def __init__(self, desk: Any, folder: Path, **order: Any) -> None:
        desk.submit(desk.alice, prompt="ein grünes Boot", negative_prompt="fog", count=2, seed=9, **order)
        self.claim: Claim = desk.claim()
        self.kind = desk.catalog.types[self.claim.type]
        self.folder = folder / "media"
        self.storage = MediaStorage(self.folder.as_uri())
        self.delivery = Delivery(self.storage, "0.1.0")
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def result(self, **changes: Any) -> GenerationResult:
        """What a worker that did its job delivers; `changes` go to the second artifact."""
        artifacts = [self.artifact(index) for index in range(2)]
        artifacts[1] = Artifact(**{**vars(artifacts[1]), **changes})
        return GenerationResult(artifacts=tuple(reversed(artifacts)), timings_s={}, receipt=RECEIPT)

    def artifact(self, index: int) -> Artifact:
        path = self.scratch / f"{index}.png"
        Image.new("RGB", (64, 64), (index * 100, 20, 30)).save(path)
        return Artifact(path=path, index=index, mime_type="image/png", width=64, height=64, seed=9 + index)

    def stored(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def dock(desk: Any, tmp_path: Path) -> Dock:
    return Dock(desk, tmp_path)


def test_originals_and_thumbnails_are_stored_and_described(dock: Dock) -> None:
    assets = dock.delivery.store(dock.claim, dock.result(), dock.kind)
    base = f"{dock.claim.user_id}/{dock.claim.job_id}"
    assert [(a.index, a.seed, a.storage_key) for a in assets] == [
        (0, 9, f"sdxl_image_fast/{base}/0.png"),
        (1, 10, f"sdxl_image_fast/{base}/1.png"),
    ]
    for asset in assets:
        data = dock.storage.read(asset.storage_key)
        assert (asset.bytes, asset.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (asset.kind, asset.format, asset.mime_type) == ("image", "png", "image/png")
        assert (asset.width, asset.height, asset.frames, asset.fps) == (64, 64, None, None)
        for size in (256, 768):
            with Image.open(io.BytesIO(dock.storage.read(thumbnail_key(asset.storage_key, size)))) as small:
                assert small.format == "WEBP"
    assert len(dock.stored()) == 6


def test_the_stored_file_says_how_it_was_made(dock: Dock) -> None:
    asset = dock.delivery.store(dock.claim, dock.result(), dock.kind)[1]
    facts = read_png(dock.storage.read(asset.storage_key))
    assert facts is not None
    assert (facts.prompt, facts.negative_prompt) == ("ein grünes Boot", "fog")
    assert (facts.seed, facts.index, facts.steps, facts.scheduler) == (10, 1, 4, "euler")
    assert (facts.model, facts.model_hash, facts.mode) == ("tiny-world", "0123456789", "text_to_image")
    assert facts.receipt == RECEIPT


def test_storing_again_writes_the_same_files(dock: Dock) -> None:
    first = dock.delivery.store(dock.claim, dock.result(), dock.kind)
    stored = {key: dock.storage.read(key) for key in dock.stored()}
    assert dock.delivery.store(dock.claim, dock.result(), dock.kind) == first
    assert {key: dock.storage.read(key) for key in dock.stored()} == stored


def test_the_assets_can_be_delivered(dock: Dock, desk: Any) -> None:
    assets = dock.delivery.store(dock.claim, dock.result(), dock.kind)
    desk.leases.deliver(dock.claim, assets, {}, RECEIPT)
    assert [row.storage_key for row in desk.asset_rows(dock.claim.job_id)] == [a.storage_key for a in assets]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 128}, "announced 128 x 64"),
        ({"mime_type": "image/jpeg"}, "image/jpeg"),
        ({"index": 2}, "2 files"),
        ({"index": 0}, "2 files"),
    ],
)
def test_what_contradicts_the_order_is_refused(dock: Dock, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnfitFile, match=message):
        dock.delivery.store(dock.claim, dock.result(**changes), dock.kind)
    assert dock.stored() == []


@pytest.mark.parametrize(("content", "message"), [(b"text", "no PNG"), (None, "did not deliver")])
def test_files_that_are_no_picture_are_refused(dock: Dock, content: bytes | None, message: str) -> None:
    result = dock.result()
    path = dock.scratch / "1.png"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(UnfitFile, match=message):
        dock.delivery.store(dock.claim, result, dock.kind)


def test_a_picture_cut_off_by_a_dying_worker_is_refused(dock: Dock) -> None:
    result = dock.result()
    path = dock.scratch / "1.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnfitFile, match="broken"):
        dock.delivery.store(dock.claim, result, dock.kind)
    assert not any(name.endswith("/1.png") for name in dock.stored())


def test_a_picture_over_the_limit_is_refused(dock: Dock) -> None:
    result = dock.result()
    with (dock.scratch / "1.png").open("ab") as file:
        file.truncate(20 * 1024 * 1024 + 1)
    with pytest.raises(TooLarge, match="20 MB"):
        dock.delivery.store(dock.claim, result, dock.kind)


FILM_RECEIPT = {"checkpoint": "tiny-wan", "fingerprint": "0123456789abcdef", "mode": "video"}


class FilmDock(Dock):
    """A claimed film."""

    def __init__(self, desk: Any, folder: Path) -> None:
        desk.submit(desk.alice, prompt="ein grünes Boot", job_type="video_fast", seed=9)
        self.claim = desk.claim("wan")
        self.kind = desk.catalog.types["video_fast"]
        self.folder = folder / "media"
        self.storage = MediaStorage(self.folder.as_uri())
        self.delivery = Delivery(self.storage, "0.1.0")
        self.scratch = folder / "scratch"
        self.scratch.mkdir()

    def result(self, **changes: Any) -> GenerationResult:
        film = film_at(self.scratch / "000.mp4", moving_frames(9))
        told = {
            "path": film.path,
            "index": 0,
            "mime_type": "video/mp4",
            "width": 80,
            "height": 48,
            "seed": 9,
            "frames": 9,
            "fps": 8.0,
        }
        return GenerationResult(artifacts=(Artifact(**{**told, **changes}),), timings_s={}, receipt=FILM_RECEIPT)


@pytest.fixture
def film_dock(desk: Any, tmp_path: Path) -> FilmDock:
    return FilmDock(desk, tmp_path)


def test_a_film_is_stored_with_its_poster_and_its_preview(film_dock: FilmDock, tmp_path: Path) -> None:
    (asset,) = film_dock.delivery.store(film_dock.claim, film_dock.result(), film_dock.kind)

    key = f"video_fast/{film_dock.claim.user_id}/{film_dock.claim.job_id}/0.mp4"
    data = film_dock.storage.read(key)
    assert (asset.storage_key, asset.bytes, asset.sha256) == (key, len(data), hashlib.sha256(data).hexdigest())
    assert (asset.kind, asset.format, asset.mime_type, asset.seed) == ("video", "mp4", "video/mp4", 9)
    assert (asset.width, asset.height, asset.frames, asset.fps) == (80, 48, 9, 8.0)
    for name, frames in ((thumbnail_key(key, 256), 1), (thumbnail_key(key, 768), 1), (hover_key(key), 9)):
        with Image.open(io.BytesIO(film_dock.storage.read(name))) as small:
            assert (small.format, getattr(small, "n_frames", 1)) == ("WEBP", frames)
    assert len(film_dock.stored()) == 4
    assert [path.name for path in film_dock.scratch.iterdir()] == ["000.mp4"]


def test_the_stored_film_says_how_it_was_made(film_dock: FilmDock, tmp_path: Path) -> None:
    (asset,) = film_dock.delivery.store(film_dock.claim, film_dock.result(), film_dock.kind)

    path = tmp_path / "stored.mp4"
    path.write_bytes(film_dock.storage.read(asset.storage_key))
    facts = read_mp4(path)
    assert facts is not None
    assert (facts.prompt, facts.seed, facts.frames, facts.fps) == ("ein grünes Boot", 9, 9, 8.0)
    assert (facts.model, facts.mode, facts.receipt) == ("tiny-wan", "video_to_video", FILM_RECEIPT)
    found = probed(path)
    assert found["format"]["tags"]["title"] == "ein grünes Boot"
    assert (found["streams"][0]["codec_name"], found["streams"][0]["nb_read_frames"]) == ("h264", "9")
    assert box_names(path).index(b"moov") < box_names(path).index(b"mdat")


def test_storing_a_film_again_writes_the_same_files(film_dock: FilmDock) -> None:
    result = film_dock.result()
    first = film_dock.delivery.store(film_dock.claim, result, film_dock.kind)
    stored = {key: film_dock.storage.read(key) for key in film_dock.stored()}

    assert film_dock.delivery.store(film_dock.claim, result, film_dock.kind) == first  # stamped already
    assert film_dock.delivery.store(film_dock.claim, film_dock.result(), film_dock.kind) == first
    assert {key: film_dock.storage.read(key) for key in film_dock.stored()} == stored


def test_a_delivered_film_is_purged_with_all_its_files(film_dock: FilmDock, desk: Any) -> None:
    assets = film_dock.delivery.store(film_dock.claim, film_dock.result(), film_dock.kind)
    desk.leases.deliver(film_dock.claim, assets, {}, FILM_RECEIPT)
    library = LibraryService(desk.database, film_dock.storage)
    (film,) = library.list(desk.alice)["items"]
    assert library.preview(desk.alice, film["id"]).bytes > 0

    library.delete(desk.alice, film["id"])
    library.purge(desk.alice, film["id"])

    assert film_dock.stored() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 96}, "announced 9 of 96 x 48"),
        ({"frames": 13}, "announced 13"),
        ({"frames": None}, "how long"),
        ({"fps": 16.0}, "announced 16"),
        ({"mime_type": "image/png"}, "image/png"),
        ({"index": 1}, "1 files"),
    ],
)
def test_a_film_that_contradicts_its_announcement_is_refused(
    film_dock: FilmDock, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnfitFile, match=message):
        film_dock.delivery.store(film_dock.claim, film_dock.result(**changes), film_dock.kind)
    assert film_dock.stored() == []


def test_a_film_that_is_none_or_broken_is_refused(film_dock: FilmDock) -> None:
    result = film_dock.result()
    path = film_dock.scratch / "000.mp4"
    whole = path.read_bytes()
    for data, message in ((b"text", "broken"), (whole[:-300], "broken"), (b"", "broken"), (None, "did not deliver")):
        path.unlink() if data is None else path.write_bytes(data)
        with pytest.raises(UnfitFile, match=message):
            film_dock.delivery.store(film_dock.claim, result, film_dock.kind)
    assert film_dock.stored() == []


def test_a_film_over_the_limit_is_refused(film_dock: FilmDock) -> None:
    result = film_dock.result()
    with (film_dock.scratch / "000.mp4").open("ab") as file:
        file.truncate(MP4.max_bytes + 1)
    with pytest.raises(TooLarge, match="100 MB"):
        film_dock.delivery.store(film_dock.claim, result, film_dock.kind)
