"""The rules that judge films pass the renderer's own films, and nothing that only looks like motion."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.tiny_world.film_sheet import strip
from pipelines.tiny_world.film_tracks import check_motion, clouds_travel, sun_travel, track_subject
from pipelines.tiny_world.inference import Recipe
from pipelines.tiny_world.motion import check_film, held_out_films, judged_films, report, score_films
from pipelines.tiny_world.motions import MOTIONS, Film, random_film, render_film
from pipelines.tiny_world.scenes import Scene
from pipelines.tiny_world.vision import pixels_of

SIZE = (96, 64)
BOAT = Scene(subject="boat", ground="sea", colour="red", clouds=True)


def _drifting(scene: Scene, step: int) -> list[Image.Image]:
    """The whole picture rolled sideways, ``step`` pixels a frame."""
    picture = np.asarray(render_film(Film(scene=scene), SIZE, 1)[0])
    return [Image.fromarray(np.roll(picture, index * step, axis=1)) for index in range(9)]


@pytest.mark.parametrize("motion", MOTIONS)
def test_rendered_films_pass_and_reversed_ones_fail(motion: str) -> None:
    film = random_film(random.Random(f"{motion}/7"), motion=motion)
    frames = render_film(film, SIZE, 17)
    assert check_motion(frames, film)["motion"]
    if motion != "still":
        assert not check_motion(frames[::-1], film)["motion"]


def test_a_drifting_picture_is_no_moving_boat() -> None:
    answers = check_motion(_drifting(BOAT, 5), Film(scene=BOAT, motion="right"))
    assert not all(answers.values())


def test_a_frozen_film_moves_nothing() -> None:
    frames = render_film(Film(scene=BOAT), SIZE, 9)
    for motion in ("left", "right"):
        assert not check_motion(frames, Film(scene=BOAT, motion=motion))["motion"]
    assert abs(clouds_travel([pixels_of(frame) for frame in frames], "day")) < 0.01


def test_tracks_follow_the_subject() -> None:
    film = Film(scene=BOAT, motion="left")
    track = track_subject([pixels_of(frame) for frame in render_film(film, SIZE, 9)], film)
    assert track.seen == 1.0
    right, down = track.travel()
    assert right == pytest.approx(-0.52, abs=0.05)
    assert abs(down) < 0.03


def test_a_setting_sun_is_followed() -> None:
    film = Film(scene=Scene(subject="none", time="sunset", ground="sea"), motion="sunset")
    frames = [pixels_of(frame) for frame in render_film(film, SIZE, 17)]
    assert sun_travel(frames[:7]) == pytest.approx(0.19, abs=0.05)
    assert sun_travel([frames[0]] * 7) == 0.0


def test_prompts_take_every_motion_in_turn_and_are_held_out() -> None:
    prompts = held_out_films(len(MOTIONS))
    assert [film.motion for film, _ in prompts] == list(MOTIONS)
    assert all(film.held_out for film, _ in prompts)
    assert prompts == held_out_films(len(MOTIONS))


def _shares(films: Sequence[Sequence[Image.Image]], wanted: Sequence[Film]) -> tuple[float, float]:
    table = score_films(films, wanted)
    return table["motion"][0] / table["motion"][1], table["subject"][0] / table["subject"][1]


def test_the_rules_tell_right_films_from_wrong_ones(tmp_path: Path) -> None:
    prompts = held_out_films(9)
    wanted = [film for film, _ in prompts]
    recipe = Recipe(steps=1, guidance=1.0)
    right = _shares(judged_films("renders", tmp_path, prompts, recipe), wanted)
    wrong = _shares(judged_films("shuffled", tmp_path, prompts, recipe), wanted)
    assert right == (1.0, 1.0)
    assert wrong[0] < 0.2


def test_reports_have_a_column_a_measurement() -> None:
    film = Film(scene=BOAT, motion="left")
    table = score_films([render_film(film, SIZE, 9)], [film])
    text = report({"one": table, "two": table})
    assert "| check | one | two |" in text
    assert "| motion | 100 % (1 of 1) | 100 % (1 of 1) |" in text
    assert set(check_film(render_film(film, SIZE, 9), film)) == {
        "motion",
        "rest",
        "time",
        "ground",
        "subject",
        "colour",
    }


def test_strips_show_first_to_last() -> None:
    film = [Image.new("L", (1, 1), value) for value in range(17)]
    assert [frame.getpixel((0, 0)) for frame in strip(film)] == [0, 4, 8, 12, 16]
    assert len(strip(film[:1])) == 5
