"""A hub on this machine with the three published models, of random weights at tiny sizes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import float16, zeros

from pipelines.checkpoint_roles import FULL_MODEL
from tests.unit.pipelines import tiny_qwen, tiny_sdxl, tiny_wan
from tests.unit.studio.commands.commanding import Commands
from tests.unit.studio.commands.local_hub import LocalHub, repository_of

LARGE_BYTES = 24 * 2**20
"""Of Qwen's weights here: huggingface_hub writes pieces of 10 MiB, so that half of the file is more than one."""


@pytest.fixture(scope="session")
def published_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The repositories by hub id: SDXL in both precisions, WAN in float32 shards, Qwen with a large file."""
    made, served = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("served")
    sdxl = tiny_sdxl.build()
    sdxl.save_pretrained(made / "sdxl")
    sdxl.to(dtype=float16).save_pretrained(made / "sdxl", variant="fp16")
    tiny_wan.build().save_pretrained(made / "wan", max_shard_size="20KB")
    tiny_qwen.save(made / "qwen", ["a", "boat"])
    weights = made / "qwen" / "model.safetensors"
    tensors = load_file(weights) | {"of_no_use": zeros(LARGE_BYTES // 4)}
    save_file(tensors, weights, metadata={"format": "pt"})
    return {hub_id: repository_of(made / role, served / role) for role, hub_id in FULL_MODEL.items()}


@pytest.fixture
def hub(published_folders: dict[str, Path]) -> Iterator[LocalHub]:
    server = LocalHub()
    server.repositories.update(published_folders)
    with server.running():
        yield server


@pytest.fixture
def command(hub: LocalHub, tmp_path: Path) -> Iterator[Commands]:
    """Runs `python app.py ...` with a data folder of its own and that hub."""
    commands = Commands(hub.url, tmp_path / "data")
    yield commands
    commands.end()
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
