"""Films: what moves, what stays, what is held out, and what captions say of it."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from pipelines.tiny_world.film_captions import FILM_ATTRIBUTES, SOME_DIRECTION, film_caption, told_by
from pipelines.tiny_world.motion_words import MOTION_PHRASES, SUBJECT_MOTION_PHRASES, TELLS_OF_THE_SUN
from pipelines.tiny_world.motions import (
    FRAMES,
    MOTIONS,
    Film,
    darkness_at,
    moments,
    random_film,
    render_film,
    render_frame,
    scene_at,
)
from pipelines.tiny_world.scenes import Scene

SIZE = (48, 32)


@pytest.mark.parametrize(
    ("motion", "axis", "least"), [("left", 0, -0.35), ("right", 0, 0.35), ("up", 1, -0.35), ("down", 1, 0.35)]
)
def test_subjects_travel_far_in_the_named_direction(motion: str, axis: int, least: float) -> None:
    film = Film(scene=Scene(subject="balloon", colour="red"), motion=motion)
    first, last = scene_at(film, 0.0).subject_place, scene_at(film, 1.0).subject_place
    assert first is not None
    assert last is not None
    assert (last[axis] - first[axis]) / least >= 1.0
    assert last[1 - axis] == first[1 - axis]


def test_the_sun_sinks_and_it_gets_dark() -> None:
    film = Film(scene=Scene(subject="none", time="sunset", ground="sea"), motion="sunset")
    frames = [np.asarray(frame, dtype=float).mean() for frame in render_film(film, SIZE, 5)]
    assert frames[0] > frames[-1] + 30
    assert darkness_at(film, 0.0) == 0.0 < darkness_at(film, 1.0)
    backwards = replace(film, motion="sunrise")
    assert scene_at(backwards, 0.0).sun_place == scene_at(film, 1.0).sun_place


def test_still_films_do_not_move() -> None:
    film = Film(scene=Scene(subject="boat", ground="sea", colour="red"))
    frames = render_film(film, SIZE, 3)
    assert np.array_equal(np.asarray(frames[0]), np.asarray(frames[2]))


def test_only_the_clouds_drift() -> None:
    film = Film(scene=Scene(subject="house", colour="red", clouds=True), motion="clouds_left")
    first, last = (np.asarray(render_frame(film, moment, SIZE)) for moment in (0.0, 1.0))
    assert np.array_equal(first[24:], last[24:])
    assert not np.array_equal(first[:12], last[:12])


def test_moments_run_from_first_to_last() -> None:
    assert moments()[0] == 0.0
    assert moments()[-1] == 1.0
    assert len(moments()) == FRAMES
    assert moments(1) == [0.0]


@pytest.mark.parametrize("motion", MOTIONS)
def test_held_out_films_are_never_trained(motion: str) -> None:
    rng = random.Random(1)
    held = {random_film(rng, held_out=True, motion=motion).key for _ in range(20)}
    trained = {random_film(rng, motion=motion).key for _ in range(200)}
    assert held
    assert not held & trained


def test_no_trained_film_shows_a_held_out_scene() -> None:
    rng = random.Random(2)
    assert not any(random_film(rng).scene.held_out for _ in range(300))


@pytest.mark.parametrize("motion", [name for name in MOTIONS if name != "still"])
def test_captions_tell_the_motion(motion: str) -> None:
    rng = random.Random(3)
    for _ in range(60):
        film = random_film(rng, motion=motion)
        text, told = film_caption(film, rng)
        if told != SOME_DIRECTION:
            phrases = SUBJECT_MOTION_PHRASES.get(film.scene.subject, {}).get(motion, MOTION_PHRASES[motion])
            assert any(phrase in text.lower() for phrase in (*phrases, *MOTION_PHRASES[motion])), text
        assert told_by(film, told)["motion"] in FILM_ATTRIBUTES["motion"]


def test_still_captions_promise_no_moving_sun() -> None:
    rng = random.Random(4)
    captions = [film_caption(random_film(rng, motion="still"), rng)[0] for _ in range(200)]
    assert not [text for text in captions if any(phrase in text for phrase in TELLS_OF_THE_SUN)]


def test_left_and_right_phrases_mirror_each_other() -> None:
    for phrases in SUBJECT_MOTION_PHRASES.values():
        assert len(phrases["left"]) == len(phrases["right"])
        assert all("left" in phrase for phrase in phrases["left"])
        assert not set(phrases["left"]) & set(phrases["right"])
