from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from studio.devices import CPU_SHARE, Card, chosen, device_budgets, device_kind, memory_limit_bytes, parse_cards
from studio.settings import Settings

ANSWER = "0, GPU-aaaa-1, NVIDIA RTX 6000 Ada Generation, 49140\n1, GPU-bbbb-2, NVIDIA GeForce RTX 4080, 16376\n"


def test_cards_are_read_from_nvidia_smi() -> None:
    first, second = parse_cards(ANSWER)
    assert first == Card(index=0, uuid="GPU-aaaa-1", name="NVIDIA RTX 6000 Ada Generation", total_bytes=49140 * 2**20)
    assert second.index == 1


@pytest.mark.parametrize("answer", ["No devices were found", "0, GPU-1, A card, [N/A]"])
def test_an_answer_that_names_no_card_is_an_error(answer: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        parse_cards(answer)


@pytest.mark.parametrize(
    ("visible", "indices"),
    [
        (None, [0, 1]),
        ("", []),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("GPU-bbbb", [1]),
        ("GPU-aaaa-1", [0]),
        ("0,7,1", [0]),
        ("-1", []),
    ],
)
def test_only_the_cards_that_torch_sees_count(visible: str | None, indices: list[int]) -> None:
    assert [card.index for card in chosen(parse_cards(ANSWER), visible)] == indices


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    total = psutil.virtual_memory().total
    limit = tmp_path / "memory.max"
    for text, expected in (("max\n", total), ("1000000000\n", 10**9), (f"{2**62}\n", total)):
        limit.write_text(text)
        assert memory_limit_bytes([limit, tmp_path / "absent"]) == expected


def test_without_a_card_the_computers_memory_is_planned_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_budgets(Settings()) == {"cpu": round(memory_limit_bytes() * CPU_SHARE)}


def test_the_budget_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_budgets(Settings(device_budget_gb=1.5)) == {"cpu": 1_500_000_000}


def test_devices_are_of_a_kind() -> None:
    assert (device_kind("cuda:1"), device_kind("cpu")) == ("cuda", "cpu")
