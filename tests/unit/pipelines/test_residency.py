"""Parts that give way and come back, on plain modules: to the bit, from copies and from files."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipelines import residency
from pipelines.contract import ModelMissing
from pipelines.residency import Part, Parts

CPU = torch.device("cpu")


class Tower(torch.nn.Module):
    """A convolution in another memory layout, two precisions, a weight that two layers share, and a buffer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = torch.nn.Conv2d(3, 8, 3).to(dtype=torch.bfloat16, memory_format=torch.channels_last)
        self.first = torch.nn.Linear(8, 8)
        self.second = torch.nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.register_buffer("offset", torch.tensor([1.0]), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = self.convolution(pixels.bfloat16()).float().mean((2, 3))
        result: torch.Tensor = self.second(self.first(seen)) + self.offset
        return result


class Shelf:
    """Files that modules are read from: counted, and as they might be read, contiguous and in float32."""

    def __init__(self, *modules: torch.nn.Module) -> None:
        self._modules = modules
        self.reads = 0

    def read(self) -> list[torch.nn.Module]:
        self.reads += 1
        fresh = [copy.deepcopy(each) for each in self._modules]
        return [each.to(dtype=torch.float32, memory_format=torch.contiguous_format) for each in fresh]


def part_of(module: torch.nn.Module) -> tuple[Part, Shelf]:
    shelf = Shelf(copy.deepcopy(module))
    return Part(modules=(module,), read=shelf.read), shelf


def snapshot(module: torch.nn.Module) -> list[tuple[Any, ...]]:
    return [(each.dtype, each.device, each.stride(), each.clone()) for each in module.parameters()]


def same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> bool:
    return all(a[:3] == b[:3] and torch.equal(a[3], b[3]) for a, b in zip(one, other, strict=True))


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residency, "spare_host_bytes", lambda: 2**40)


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize(("keep", "reads"), [(None, 2), (torch.clone, 0)])
def test_a_part_comes_back_to_the_bit(
    keep: Callable[[torch.Tensor], torch.Tensor] | None, reads: int, pixels: torch.Tensor
) -> None:
    tower = Tower(0)
    part, shelf = part_of(tower)
    parts = Parts(CPU, {"tower": part}, keep=keep)
    before, answer = snapshot(tower), tower(pixels)
    for _ in range(2):
        parts.give_way(["tower"])
        assert sum(each.numel() for each in tower.parameters()) == 0
        parts.bring("tower")
        assert same(snapshot(tower), before)
        assert torch.equal(tower(pixels), answer)
        assert tower.first.weight is tower.second.weight
    assert shelf.reads == reads


def test_an_absent_part_stays_what_and_where_it_was_and_cannot_compute(pixels: torch.Tensor) -> None:
    tower = Tower(0)
    parts = Parts(CPU, {"tower": part_of(tower)[0]})
    kinds = [(each.dtype, each.device) for each in tower.parameters()]
    parts.give_way(["tower", "unknown"])
    assert [(each.dtype, each.device) for each in tower.parameters()] == kinds
    assert parts.bytes_there() == {}
    with pytest.raises(RuntimeError):
        tower(pixels)


def test_what_came_back_inside_inference_works_outside_it(pixels: torch.Tensor) -> None:
    tower = Tower(0)
    parts = Parts(CPU, {"tower": part_of(tower)[0]})
    with torch.inference_mode():
        parts.give_way(["tower"])
        parts.bring("tower")
    assert not any(each.is_inference() for each in tower.parameters())
    assert not tower(pixels).is_inference()


def test_copies_are_made_once_and_only_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        made.append(tensor.numel())
        return tensor.clone()

    tower = Tower(0)
    part, shelf = part_of(tower)
    parts = Parts(CPU, {"tower": part}, keep=keep)
    monkeypatch.setattr(residency, "spare_host_bytes", lambda: parts.bytes_there()["tower"] - 1)
    with caplog.at_level(logging.INFO):
        parts.give_way(["tower"])
    assert "no room for a copy of tower" in caplog.text
    assert "tower gave way" in caplog.text
    parts.bring("tower")
    assert (made, shelf.reads) == ([], 1)
    monkeypatch.setattr(residency, "spare_host_bytes", lambda: parts.bytes_there()["tower"])
    for _ in range(3):
        parts.give_way(["tower"])
        parts.bring("tower")
    assert (len(made), shelf.reads) == (len(list(tower.parameters())), 1)


@pytest.mark.usefixtures("roomy")
def test_a_copy_that_cannot_be_made_leaves_the_files() -> None:
    def keep(_tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("cannot pin")

    tower = Tower(0)
    before = snapshot(tower)
    parts = Parts(CPU, {"tower": part_of(tower)[0]}, keep=keep)
    parts.give_way(["tower"])
    parts.bring("tower")
    assert same(snapshot(tower), before)


def test_what_waits_on_the_host_moves_to_the_device_when_it_is_needed() -> None:
    tower = Tower(0)
    part, shelf = part_of(tower)
    before = snapshot(tower)
    parts = Parts(CPU, {"tower": part}, waiting=True)
    assert parts.bytes_there() == {}
    parts.bring("tower")
    assert parts.bytes_there() == {"tower": sum(each.numel() * each.element_size() for *_, each in before)}
    assert same(snapshot(tower), before)
    assert shelf.reads == 0
    # The host has given it away: without a copy it is in its files.
    parts.give_way(["tower"])
    parts.bring("tower")
    assert same(snapshot(tower), before)
    assert shelf.reads == 1


def test_a_part_that_cannot_be_read_stays_away_and_comes_when_it_can(pixels: torch.Tensor) -> None:
    tower = Tower(0)
    shelf, broken = Shelf(copy.deepcopy(tower)), True

    def read() -> list[torch.nn.Module]:
        if broken:
            raise ModelMissing("gone")
        return shelf.read()

    answer = tower(pixels)
    parts = Parts(CPU, {"tower": Part(modules=(tower,), read=read)})
    parts.give_way(["tower"])
    with pytest.raises(ModelMissing, match="gone"):
        parts.bring("tower")
    assert parts.bytes_there() == {}
    broken = False
    parts.bring("tower")
    assert torch.equal(tower(pixels), answer)


def test_files_that_have_become_others_are_told() -> None:
    tower = torch.nn.Linear(4, 4).requires_grad_(False)
    parts = Parts(CPU, {"text_encoders": Part(modules=(tower,), read=lambda: [torch.nn.Linear(4, 5)])})
    parts.give_way(["text_encoders"])
    with pytest.raises(ModelMissing, match="text encoders have changed"):
        parts.bring("text_encoders")
    assert parts.bytes_there() == {}


def test_each_residency_holds_what_it_says() -> None:
    parts = Parts(CPU, {name: part_of(Tower(seed))[0] for seed, name in enumerate("abc")})

    def there() -> str:
        return "".join(sorted(parts.bytes_there()))

    with parts.following("resident"):
        parts.bring("a")
        parts.passed("a")
        assert there() == "abc"
    with parts.following("encode_first"):
        parts.bring("a")
        assert there() == "abc"
        parts.passed("a")
        assert there() == "bc"
    assert there() == "bc"
    with parts.following("offload"):
        parts.bring("a")
        assert there() == "a"
        parts.bring("b", "c", "unknown")
        assert there() == "bc"
    assert there() == ""
    with parts.following("resident"):
        parts.bring("b")
        assert there() == "b"


def test_after_a_failure_offloaded_parts_are_away_too() -> None:
    parts = Parts(CPU, {name: part_of(Tower(seed))[0] for seed, name in enumerate("ab")})

    def fail() -> None:
        with parts.following("offload"):
            parts.bring("a")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert parts.bytes_there() == {}
