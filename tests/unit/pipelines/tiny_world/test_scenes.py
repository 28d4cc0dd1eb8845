"""The split into trained and held-out combinations, and the layout numbers."""

from __future__ import annotations

import random

from pipelines.tiny_world.palette import GROUNDS, OBJECT_COLOURS, SHAPES, TIMES
from pipelines.tiny_world.scenes import LAYOUT_SIZE, SUBJECTS, Scene, random_scene


def _draw(count: int, *, held_out: bool) -> list[Scene]:
    rng = random.Random(4)
    return [random_scene(rng, held_out=held_out) for _ in range(count)]


def test_held_out_combinations_are_never_trained() -> None:
    trained, kept = _draw(4000, held_out=False), _draw(1500, held_out=True)
    assert not {scene.key for scene in trained} & {scene.key for scene in kept}
    assert len({scene.key for scene in kept}) > 60


def test_the_split_is_about_attributes_not_about_layout_or_wording() -> None:
    first = Scene(subject="balloon", time="night", ground="city", colour="pink", layout=(0.1,) * LAYOUT_SIZE)
    second = Scene(subject="balloon", time="night", ground="city", colour="pink", birds=True, named=frozenset({"time"}))
    assert first.held_out == second.held_out


def test_every_value_of_every_attribute_is_trained() -> None:
    trained = _draw(4000, held_out=False)
    assert {scene.subject for scene in trained} == set(SUBJECTS)
    assert {scene.time for scene in trained} == set(TIMES)
    assert {scene.ground for scene in trained} == set(GROUNDS)
    assert {scene.shape for scene in trained} == {"", *SHAPES}
    assert {scene.colour for scene in trained if scene.subject == "balloon"} == set(OBJECT_COLOURS)


def test_the_showcase_is_trained() -> None:
    assert not Scene(subject="balloon", time="sunset", ground="sea", colour="red").held_out


def test_boats_sail_on_the_sea() -> None:
    assert {scene.ground for scene in _draw(1000, held_out=False) if scene.subject == "boat"} == {"sea"}


def test_what_the_caption_leaves_open_follows_from_the_layout() -> None:
    for scene in _draw(3000, held_out=False):
        if scene.subject != "shape" and "clouds" not in scene.named:
            assert scene.clouds == (scene.layout[4] > 0.4)
        if scene.subject == "balloon" and "colour" not in scene.named:
            assert scene.colour == ("red", "yellow", "blue")[min(int(scene.layout[7] * 3), 2)]
