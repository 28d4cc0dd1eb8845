"""Attention and compilation: applied where they run, and said once in the log where they do not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from PIL import Image

from pipelines import switches
from pipelines.acceleration import Acceleration, Attention
from pipelines.contract import GenerationRequest
from pipelines.loading import LoadOptions
from pipelines.sdxl import create as create_sdxl
from pipelines.wan import create as create_wan
from tests.unit.pipelines.tiny_sdxl import build as build_sdxl
from tests.unit.pipelines.tiny_wan import build as build_wan
from tests.unit.pipelines.wan_runs import difference, loaded_pipe, pixels, run

# diffusers asks NumPy for a copy-free array in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MakeRequest = Callable[..., GenerationRequest]
OPTIONS = LoadOptions(device=torch.device("cpu"), dtype=torch.float32)
# torch's slow but exact implementation: a backend of its own that every machine has.
OTHER: Any = "_native_math"
NOT_INSTALLED: tuple[Attention, ...] = ("flash", "sage", "xformers")


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Nothing is known yet of what runs here, and torch compiles in no time."""
    torch.compiler.set_default_backend("eager")
    yield
    torch.compiler.set_default_backend(None)
    torch.compiler.reset()
    for known in (switches._attends, switches._compiles, switches.say_once):
        known.cache_clear()


@pytest.fixture
def transformer() -> Any:
    return build_wan().transformer.eval()


@pytest.fixture
def unet() -> Any:
    return build_sdxl().unet.eval()


def row(attention: Attention = "native", *, compiled: bool = False) -> Acceleration:
    return Acceleration(dtype="float32", attention=attention, compile=compiled)


def test_a_backend_is_used_by_this_model_and_by_no_other(transformer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = build_wan().transformer
    used: list[Any] = []

    def noted(*args: Any, **kwargs: Any) -> Any:
        used.append(kwargs["backend"])
        return dispatch_attention_fn(*args, **kwargs)

    monkeypatch.setattr("diffusers.models.transformers.transformer_wan.dispatch_attention_fn", noted)
    switches.switch(transformer, row(OTHER), OPTIONS)
    assert switches.attention_of(transformer) == OTHER
    assert switches.attention_of(other) == "native"
    one, two = (_output(each) for each in (transformer, other))
    assert {str(getattr(name, "value", name)) for name in used} == {OTHER, "None"}
    assert torch.allclose(one, two, atol=1e-5)
    switches.switch(transformer, row(), OPTIONS)
    assert switches.attention_of(transformer) == "native"


def test_the_default_of_the_process_stays_native(transformer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    switches.switch(transformer, row(OTHER), OPTIONS)
    asked: list[Any] = []
    sdpa = torch.nn.functional.scaled_dot_product_attention

    def noted(*args: Any, **kwargs: Any) -> Any:
        asked.append(torch.backends.cuda.flash_sdp_enabled())
        return sdpa(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", noted)
    _output(build_wan().transformer)
    # `_native_math` would have turned the other kernels off.
    assert asked
    assert all(asked)


@pytest.mark.parametrize("backend", NOT_INSTALLED)
def test_a_backend_without_its_package_is_said_once(
    backend: Attention, transformer: Any, unet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        switches.switch(transformer, row(backend), OPTIONS)
    (record,) = _said(caplog)
    assert record.getMessage().startswith(f"attention stays native: {backend} does not run here")
    assert switches.switched(transformer) == {"attention": "native", "compile": False}
    caplog.clear()
    for _ in range(3):
        switches.switch(unet, row(backend), OPTIONS)
    (record,) = _said(caplog)
    assert "SDXL" in record.getMessage()
    assert backend in record.getMessage()
    assert switches.switched(unet) == {"attention": "native", "compile": False}


def test_a_backend_that_is_installed_but_cannot_run_here_is_said_once(
    transformer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Flash's kernels want CUDA, and so does torch's own selection of them."""
    backend: Any = "_native_cudnn"
    for _ in range(2):
        switches.switch(transformer, row(backend), OPTIONS)
    (record,) = _said(caplog)
    assert backend in record.getMessage()
    assert switches.attention_of(transformer) == "native"
    _output(transformer)


def test_blocks_are_compiled_once_and_compute_the_same(transformer: Any, unet: Any) -> None:
    before = _output(transformer)
    for denoiser in (transformer, unet):
        switches.switch(denoiser, row(), OPTIONS)
        assert not switches.is_compiled(denoiser)
        switches.switch(denoiser, row(compiled=True), OPTIONS)
        assert switches.is_compiled(denoiser)
    block = transformer.blocks[0]
    compiled = block._compiled_call_impl
    switches.switch(transformer, row(compiled=True), OPTIONS)
    assert block._compiled_call_impl is compiled
    assert torch.allclose(_output(transformer), before, atol=1e-5)


def test_a_machine_that_cannot_compile_is_said_once(
    transformer: Any, unet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_graph: Any, _inputs: Any) -> Any:
        raise RuntimeError("No working C++ compiler found")

    torch.compiler.set_default_backend(broken)
    for denoiser in (transformer, unet, transformer):
        switches.switch(denoiser, row(compiled=True), OPTIONS)
        assert not switches.is_compiled(denoiser)
    (record,) = _said(caplog)
    assert "nothing is compiled" in record.getMessage()
    assert "No working C++ compiler" in record.getMessage()


def test_running_out_of_memory_is_no_lack_of_a_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "zeros", too_much)
    with pytest.raises(torch.OutOfMemoryError):
        switches._attends(OTHER, OPTIONS.device, torch.float32, 8)


def test_films_are_the_same_compiled_and_the_receipt_says_so(
    wan_folder: Path, wan: Any, make_film: MakeRequest
) -> None:
    pipeline = create_wan(checkpoint=str(wan_folder), device="cpu", dtype="float32", compile="on", attention="flash")
    made, plain = (run(each, make_film(steps=8)) for each in (pipeline, wan))
    assert switches.is_compiled(loaded_pipe(pipeline).transformer)
    facts = {"attention": "native", "cache": {"kind": "first_block", "threshold": 0.1}, "dtype": "float32"}
    assert made.receipt.items() >= (facts | {"compile": True}).items()
    assert plain.receipt.items() >= (facts | {"compile": False}).items()
    assert difference(pixels(made)[0], pixels(plain)[0]) <= 2


def test_guidance_ends_early_for_every_picture_of_a_batch(tiny_folder: Path, make_request: MakeRequest) -> None:
    """At ten steps: four with guidance on both halves of the batch, six on the prompt's alone."""
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu", dtype="float32", cache="first_block")
    batches: list[int] = []
    unet = loaded_pipe(pipeline).unet
    hook = unet.register_forward_pre_hook(lambda _module, args: batches.append(len(args[0])))
    made = run(pipeline, make_request(steps=10, seeds=(1, 2, 3)))
    hook.remove()
    assert batches == [6] * 4 + [3] * 6
    assert made.receipt["cache"] == {"kind": "guidance_cutoff", "guided_share": 0.4}
    # Each picture still depends on its own seed alone.
    alone = run(pipeline, make_request(steps=10, seeds=(2,)))
    assert difference(pixels(made)[1], pixels(alone)[0]) <= 2
    whole = run(create_sdxl(checkpoint=str(tiny_folder), device="cpu", dtype="float32"), make_request(steps=10))
    assert whole.receipt["cache"] is None
    assert difference(pixels(made)[0], pixels(whole)[0]) > 2


def test_unguided_pictures_and_masked_ones_have_no_guidance_to_end(
    tiny_folder: Path, make_request: MakeRequest, tmp_path: Path
) -> None:
    paths = tmp_path / "picture.png", tmp_path / "mask.png"
    Image.new("RGB", (32, 32), "red").save(paths[0])
    Image.new("L", (32, 32), 255).save(paths[1])
    pipeline = create_sdxl(checkpoint=str(tiny_folder), device="cpu", dtype="float32", cache="sea")
    assert run(pipeline, make_request(guidance=1.0)).receipt["cache"] is None
    inpainted = run(pipeline, make_request(image=paths[0], mask=paths[1], strength=0.9, steps=8))
    assert inpainted.receipt["cache"] is None
    redrawn = run(pipeline, make_request(image=paths[0], strength=0.9, steps=8, seeds=(1, 2)))
    assert redrawn.receipt["cache"]["kind"] == "guidance_cutoff"


def _said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "pipelines.switches"]


def _output(transformer: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn((1, transformer.config.in_channels, 3, 4, 4), generator=generator)
    prompt = torch.randn((1, 8, transformer.config.text_dim), generator=generator)
    with torch.inference_mode():
        output: torch.Tensor = transformer(latents, torch.tensor([500.0]), prompt, return_dict=False)[0]
    return output
