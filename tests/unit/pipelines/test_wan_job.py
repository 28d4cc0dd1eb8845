"""What work can start from, on each of the three layouts of WAN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.contract import Cancelled, GenerationRequest, InvalidRequest, Progress
from pipelines.films import write_film
from pipelines.wan import create
from tests.unit.pipelines.wan_runs import counted, difference, loaded_pipe, pixels, run

# diffusers asks NumPy for a copy-free array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MakeRequest = Callable[..., GenerationRequest]


@pytest.fixture(scope="module")
def image_to_video(image_folder: Path) -> Iterator[Any]:
    pipeline = create(checkpoint=str(image_folder), device="cpu", dtype="float32", preview_interval_s=0.0)
    yield pipeline
    pipeline.release()


@pytest.fixture(scope="module")
def vace(vace_folder: Path) -> Iterator[Any]:
    pipeline = create(checkpoint=str(vace_folder), device="cpu", dtype="float32", preview_interval_s=0.0)
    yield pipeline
    pipeline.release()


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "red.png", tmp_path / "noise.png"
    Image.new("RGB", (64, 64), "red").save(paths[0])
    Image.effect_noise((64, 64), 120).convert("RGB").save(paths[1])
    return paths


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A bright square that wanders over a dark ground."""
    frames = np.full((9, 48, 48, 3), 30, np.uint8)
    for i in range(9):
        frames[i, 16:32, 3 * i : 3 * i + 16] = 240
    path = tmp_path / "film.mp4"
    write_film(frames, path, 8.0, max_bytes=10_000_000, report=lambda share: None, is_cancelled=lambda: False)
    return path


def distance(one: Any, other: Any) -> float:
    return float(np.abs(pixels(one)[0] - pixels(other)[0]).mean())


def test_video_to_video_keeps_more_of_the_film_at_low_strength(wan: Any, make_film: MakeRequest, film: Path) -> None:
    weak, strong = (run(wan, make_film(video=film, strength=strength, steps=8)) for strength in (0.3, 0.9))
    reference = run(wan, make_film(video=film, strength=0.01, steps=8))
    assert weak.receipt["mode"] == strong.receipt["mode"] == "video"
    assert (weak.receipt["strength"], weak.receipt["cache"]) == (0.3, None)
    assert pixels(weak)[0].shape == (9, 32, 32, 3)
    assert distance(reference, weak) < distance(reference, strong)


def test_full_strength_ignores_the_film(wan: Any, make_film: MakeRequest, film: Path) -> None:
    ignored = run(wan, make_film(video=film, strength=1.0))
    assert (ignored.receipt["mode"], ignored.receipt["strength"]) == ("text", None)
    assert distance(ignored, run(wan, make_film())) == 0


@pytest.mark.parametrize("scheduler", ["unipc", "euler"])
def test_a_picture_starts_from_a_picture_and_can_be_made_again_alone(
    scheduler: str, wan: Any, make_request: MakeRequest, pictures: tuple[Path, Path]
) -> None:
    common: dict[str, Any] = {"image": pictures[1], "strength": 0.8, "scheduler": scheduler, "steps": 8}
    batch = run(wan, make_request(seeds=(1, 2), **common))
    alone = run(wan, make_request(seeds=(2,), **common))
    assert batch.receipt["mode"] == "image"
    assert difference(pixels(batch)[1], pixels(alone)[0]) <= 2
    assert difference(pixels(batch)[0], pixels(alone)[0]) > 5
    other = run(wan, make_request(seeds=(2,), **common | {"image": pictures[0]}))
    assert distance(alone, other) > 0.1


def test_few_steps_at_low_strength_still_take_one(wan: Any, make_film: MakeRequest, film: Path) -> None:
    reports: list[Progress] = []
    wan.generate(make_film(video=film, strength=0.1, steps=2), reports.append, lambda: False)
    assert [report.step for report in reports if report.preview] == [1]


def test_a_cancel_while_the_film_is_read_in_stops_before_the_first_step(
    wan: Any, make_film: MakeRequest, film: Path
) -> None:
    reports, encoder = list[Progress](), loaded_pipe(wan).vae.encoder
    with counted(encoder.conv_in) as encoded, pytest.raises(Cancelled):
        wan.generate(make_film(video=film), reports.append, lambda: len(encoded) >= 1)
    assert len(encoded) == 1
    assert [report.step for report in reports] == [0]


def test_image_to_video_depends_on_the_picture(
    image_to_video: Any, make_film: MakeRequest, pictures: tuple[Path, Path]
) -> None:
    first, again, other = (run(image_to_video, make_film(image=pictures[i])) for i in (0, 0, 1))
    assert (first.receipt["mode"], first.receipt["strength"]) == ("image", None)
    assert first.receipt["cache"] == {"kind": "first_block", "threshold": 0.1}
    assert pixels(first)[0].shape == (9, 32, 32, 3)
    assert distance(first, again) == 0
    assert distance(first, other) > 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, r"cannot work from text alone.*STUDIO_WAN_MODEL to a text-to-video"),
        ({"video": Path("film.mp4")}, r"cannot start from a film.*STUDIO_WAN_MODEL"),
        ({"image": Path("a.png"), "frames": 1, "fps": None}, r"cannot start a picture from a picture"),
        ({"frames": 1, "fps": None}, "cannot work from text alone"),
    ],
)
def test_image_to_video_does_nothing_else_and_says_what_would(
    fields: dict[str, Any], sentence: str, image_to_video: Any, make_film: MakeRequest
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        run(image_to_video, make_film(**fields))


def test_vace_makes_films_from_text(vace: Any, make_film: MakeRequest) -> None:
    first, again, other = (run(vace, make_film(seeds=(seed,))) for seed in (1, 1, 2))
    assert first.receipt["mode"] == "text"
    assert distance(first, again) == 0
    assert distance(first, other) > 1


def test_vace_starts_a_film_from_a_picture(vace: Any, make_film: MakeRequest, pictures: tuple[Path, Path]) -> None:
    first, other = (run(vace, make_film(image=path)) for path in pictures)
    # Hints are added between the blocks: reusing the rest of them would add the hints twice.
    assert (first.receipt["mode"], first.receipt["cache"]) == ("image", None)
    assert distance(first, other) > 0.1
    assert distance(first, run(vace, make_film())) > 0.1


def test_vace_follows_a_film_less_the_stronger_it_redraws(vace: Any, make_film: MakeRequest, film: Path) -> None:
    def influence(strength: float) -> float:
        """How much it matters which film is followed."""
        mine, theirs = (run(vace, make_film(video=path, strength=strength)) for path in (film, other))
        assert mine.receipt["mode"] == "video"
        return distance(mine, theirs)

    other = film.with_name("white.mp4")
    white = np.full((9, 48, 48, 3), 255, np.uint8)
    write_film(white, other, 8.0, max_bytes=10_000_000, report=lambda share: None, is_cancelled=lambda: False)
    assert influence(0.2) > influence(0.95) > 0


def test_vace_makes_pictures_one_after_the_other(
    vace: Any, make_request: MakeRequest, pictures: tuple[Path, Path]
) -> None:
    reports: list[Progress] = []
    request = make_request(seeds=(1, 2), image=pictures[1], strength=0.5)
    batch = vace.generate(request, reports.append, lambda: False)
    alone = run(vace, make_request(seeds=(2,), image=pictures[1], strength=0.5))
    assert difference(pixels(batch)[1], pixels(alone)[0]) <= 2
    assert difference(pixels(batch)[0], pixels(alone)[0]) > 5
    steps = [(report.step, report.steps) for report in reports if report.preview]
    assert steps == [(i, 6) for i in range(1, 7)]
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
