"""Tiny SDXL and WAN checkpoints on disk, one of each layout, and loaded pipelines to share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.contract import GenerationRequest


@pytest.fixture(scope="session")
def tiny_pipe() -> Any:
    from tests.unit.pipelines.tiny_sdxl import build

    return build()


@pytest.fixture(scope="session")
def tiny_folder(tiny_pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tiny_pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def half_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds only *.fp16.safetensors, as half-sized downloads do."""
    import torch

    from tests.unit.pipelines.tiny_sdxl import build

    folder = tmp_path_factory.mktemp("checkpoints") / "half"
    build().to(dtype=torch.float16).save_pretrained(folder, variant="fp16")
    return folder


@pytest.fixture(scope="session")
def single_file(tiny_pipe: Any, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One .safetensors file in the original key layout, with a folder of configs of the same name beside it."""
    import shutil

    from tests.unit.pipelines.tiny_sdxl import save_single_file

    path = tmp_path_factory.mktemp("checkpoints") / "fine-tune.safetensors"
    save_single_file(tiny_pipe, path)
    shutil.copytree(tiny_folder, path.with_suffix(""), ignore=shutil.ignore_patterns("*.safetensors"))
    return path


@pytest.fixture(scope="session")
def sdxl(tiny_folder: Path) -> Iterator[Any]:
    """A loaded SdxlPipeline, shared by tests that leave it as they found it."""
    from pipelines.sdxl import create

    pipeline = create(checkpoint=str(tiny_folder), device="cpu", preview_interval_s=0.0)
    pipeline.load(lambda progress: None)
    yield pipeline
    pipeline.release()


@pytest.fixture(scope="session")
def wan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-to-video checkpoint."""
    return _saved_wan("build", tmp_path_factory)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image-to-video checkpoint."""
    return _saved_wan("build_image_to_video", tmp_path_factory)


@pytest.fixture(scope="session")
def vace_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VACE checkpoint: films from text, from a picture and from a film."""
    return _saved_wan("build_vace", tmp_path_factory)


def _saved_wan(builder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.unit.pipelines import tiny_wan

    folder = tmp_path_factory.mktemp("checkpoints") / builder.replace("build", "wan")
    getattr(tiny_wan, builder)().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def wan(wan_folder: Path) -> Iterator[Any]:
    """A loaded text-to-video pipeline, shared by tests that leave it as they found it."""
    from pipelines.wan import create

    pipeline = create(checkpoint=str(wan_folder), device="cpu", dtype="float32", preview_interval_s=0.0)
    pipeline.load(lambda progress: None)
    yield pipeline
    pipeline.release()


@pytest.fixture
def make_film(make_request: Callable[..., GenerationRequest]) -> Callable[..., GenerationRequest]:
    """Requests for a film of nine frames, as `make_request`."""
    return lambda **fields: make_request(**({"frames": 9, "fps": 8.0} | fields))


@pytest.fixture
def make_request(tmp_path: Path) -> Callable[..., GenerationRequest]:
    """Requests with a scratch folder each; the given fields override small defaults."""
    made = 0

    def make(**fields: Any) -> GenerationRequest:
        nonlocal made
        made += 1
        scratch = tmp_path / f"scratch{made}"
        scratch.mkdir()
        defaults: dict[str, Any] = {
            "job_id": f"job{made}",
            "quality": "fast",
            "prompt": "a red circle",
            "width": 32,
            "height": 32,
            "steps": 3,
            "guidance": 2.5,
            "seeds": (1,),
            "scheduler": "euler",
            "scratch": scratch,
        }
        return GenerationRequest(**(defaults | fields))

    return make
