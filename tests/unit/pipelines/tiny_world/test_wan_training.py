"""Every stage of the tiny Wan at minuscule sizes: it resumes, exports, and the export loads as any Wan does."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanPipeline

from pipelines.tiny_world.film_coupling import couple_film
from pipelines.tiny_world.film_inference import generate_films, load_film_pipeline
from pipelines.tiny_world.film_latents import FilmSet
from pipelines.tiny_world.inference import Recipe
from pipelines.tiny_world.motions import FILM_SIZES
from pipelines.tiny_world.train_wan import train
from pipelines.tiny_world.wan_settings import FLOW_SHIFT, TOKENS, WanSettings
from pipelines.tiny_world.wan_training import FilmParts, kind_of_step, trainable_transformer
from pipelines.tiny_world.wan_transformer import attend_plainly, build_scheduler, build_transformer, draw_shares
from pipelines.tiny_world.wan_vae import GROUP, build_wan_vae, decode_groups, encode_groups
from pipelines.tiny_world.wan_vae_training import decode_films, encode_films
from pipelines.tiny_world.workers import GradientWorkers

# diffusers 0.42.1 turns tensors into arrays the way numpy 2 warns about; PyTorch tells of a slower norm under autocast.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight:UserWarning"),
]


@pytest.fixture(scope="module")
def small_wan(tmp_path_factory: pytest.TempPathFactory) -> WanSettings:
    return WanSettings(
        state=tmp_path_factory.mktemp("state"),
        films=4,
        pictures=4,
        vae_width=8,
        latent_channels=8,
        text_width=32,
        text_layers=1,
        layers=2,
        feed_forward=384,
        tokenizer_captions=100,
        film_batch=4,
        picture_batch=4,
        vae_batch=1,
        compiled=False,
        workers=0,
        most_steps=1,
        export_every_s=0.0,
    )


@pytest.fixture(scope="module")
def wan_checkpoint(small_wan: WanSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("models") / "wan"
    train(small_wan, out)
    return out


def test_the_export_is_an_ordinary_wan_checkpoint(wan_checkpoint: Path) -> None:
    pipeline = WanPipeline.from_pretrained(wan_checkpoint, dtype=torch.bfloat16)
    assert pipeline.transformer.dtype == torch.bfloat16
    assert pipeline.transformer.scale_shift_table.dtype == torch.float32
    assert (pipeline.vae_scale_factor_temporal, pipeline.vae_scale_factor_spatial) == (4, 4)
    assert pipeline.scheduler.config.flow_shift == FLOW_SHIFT
    assert pipeline.tokenizer.model_max_length == TOKENS
    assert len(pipeline.vae.config.latents_mean) == len(pipeline.vae.config.latents_std) == 8


def test_exported_weights_are_kept_in_few_bits_but_where_wan_needs_more(wan_checkpoint: Path) -> None:
    pipeline = load_film_pipeline(wan_checkpoint)
    assert pipeline.transformer.dtype == pipeline.vae.dtype == torch.float32
    weight = pipeline.transformer.blocks[0].attn1.to_v.weight
    assert torch.equal(weight, weight.bfloat16().float())


@pytest.mark.parametrize(("frames", "size"), [(1, (32, 48)), (5, (48, 32))])
def test_films_and_pictures_come_out(wan_checkpoint: Path, frames: int, size: tuple[int, int]) -> None:
    pipeline = load_film_pipeline(wan_checkpoint)
    films = generate_films(
        pipeline, ["a boat", "the sun sets"], [1, 2], Recipe(steps=2, guidance=2.0), size=size, frames=frames
    )
    assert [len(film) for film in films] == [frames, frames]
    assert films[0][0].size == size


def test_wan_files_are_small_and_readable(wan_checkpoint: Path) -> None:
    files = [file for file in wan_checkpoint.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"model_index.json", "training_log.jsonl", "scheduler_config.json"}
    assert all(file.stat().st_size < 10_000_000 and file.stat().st_mode & 0o777 == 0o644 for file in files)


def test_wan_training_resumes_where_it_stopped(wan_checkpoint: Path, small_wan: WanSettings) -> None:
    def steps() -> list[int]:
        names = ("vae", "text", "transformer")
        return [torch.load(small_wan.state / f"{name}.pt", weights_only=True)["step"] for name in names]

    before = steps()
    train(replace(small_wan, most_steps=2), wan_checkpoint)
    assert before == [1, 1, 1]
    assert steps() == [2, 2, 2]
    lines = (wan_checkpoint / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["stage"] for line in lines} >= {"vae_done", "export"}


def test_processes_fill_the_transformers_gradients(wan_checkpoint: Path, small_wan: WanSettings) -> None:
    settings = replace(small_wan, workers=2)
    transformer = trainable_transformer(settings)
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.1)
    workers = GradientWorkers(transformer, FilmParts, settings, seed=1)
    try:
        loss = workers.fill(0)
    finally:
        workers.close()
    assert 0.1 < loss < 20.0
    gradients = [parameter.grad for parameter in transformer.parameters()]
    assert all(gradient is not None and bool(gradient.isfinite().all()) for gradient in gradients)


def test_drawn_batches_are_unit_latents_with_captions(wan_checkpoint: Path, small_wan: WanSettings) -> None:
    films = FilmSet(small_wan.state)
    rng = random.Random(1)
    latents, quantiles, captions = films.draw(rng, "films", 3)
    assert latents.shape[:3] == (3, 8, 5)
    assert films.draw(rng, "pictures", 2)[0].shape[2] == 1
    assert quantiles.shape == (3, 8)
    assert all(captions)


def test_group_by_group_is_what_the_autoencoder_does(small_wan: WanSettings) -> None:
    torch.manual_seed(0)
    vae = build_wan_vae(small_wan)
    film = torch.rand(1, 3, 9, 16, 24) * 2.0 - 1.0
    with torch.no_grad():
        latents = vae.encode(film).latent_dist.mean
        first = encode_groups(vae, film[:, :, 0], 1)[0]
        last = encode_groups(vae, film[0, :, 5:9].transpose(0, 1), GROUP)[0]
        restored = vae.decode(latents).sample
        group = decode_groups(vae, latents[:, :, 2], GROUP).clamp(-1.0, 1.0)
    assert latents.shape == (1, 8, 3, 4, 6)
    assert torch.allclose(latents[:, :, 0], first, atol=1e-5)
    assert torch.allclose(latents[:, :, 2], last, atol=1e-5)
    assert torch.allclose(restored[0, :, 5:9].transpose(0, 1), group, atol=1e-5)


def test_films_keep_their_shape_through_the_autoencoder(small_wan: WanSettings) -> None:
    vae = build_wan_vae(small_wan)
    width, height = FILM_SIZES[0]
    pixels = torch.randint(0, 256, (2, 5, height, width, 3), dtype=torch.uint8).numpy()
    assert decode_films(vae, encode_films(vae, pixels)).shape == pixels.shape


def test_untrained_transformers_find_their_edges_in_noise() -> None:
    torch.manual_seed(0)
    transformer = build_transformer(WanSettings(state=Path(), layers=1))
    seen: dict[str, torch.Tensor] = {}
    transformer.blocks[0].register_forward_hook(lambda block, given, result: seen.update(result=result))
    quantiles = torch.tensor([[1.5, -1.5, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5]])
    noise = couple_film(torch.randn(1, 16, 5, 12, 16), quantiles)
    with torch.no_grad():
        transformer(noise, torch.tensor([999.0]), torch.zeros(1, TOKENS, 128), return_dict=False)
    tokens = seen["result"].view(5, 6, 8, -1)
    top, left, first = (tokens[..., 171 + index] for index in (0, 2, 4))
    assert float(top[:, 0].min()) > float(top[:, 1:].mean()) + 3.0
    assert float(left[:, :, 0].min()) > float(left[:, :, 1:].mean()) + 3.0
    assert float(first[0].min()) > float(first[1:].mean()) + 3.0
    layout = tokens[2, 3, 4, 176:184]
    assert torch.corrcoef(torch.stack([layout, quantiles[0]]))[0, 1] > 0.9


def test_coupled_film_noise_carries_the_layout_and_stays_normal() -> None:
    noise, quantiles = torch.randn(500, 16, 2, 4, 4), torch.randn(500, 8)
    coupled = couple_film(noise, quantiles)
    corner = coupled[:, :8, 0, :2, :2]
    assert torch.allclose(corner.sum(dim=(2, 3)) / 2.0, quantiles, atol=1e-5)
    assert float(corner.std()) == pytest.approx(1.0, abs=0.03)
    assert torch.equal(coupled[:, 8:], noise[:, 8:])
    assert torch.equal(coupled[:, :, 1], noise[:, :, 1])
    louder = couple_film(noise, quantiles, 4.0)[:, :8, 0, :2, :2]
    assert torch.allclose(louder.sum(dim=(2, 3)) / 2.0, 4.0 * quantiles, atol=1e-4)


def test_plain_attention_gives_the_same_numbers(small_wan: WanSettings) -> None:
    transformer = build_transformer(small_wan).eval()
    torch.nn.init.normal_(transformer.proj_out.weight)
    given = torch.randn(1, 8, 2, 8, 8), torch.tensor([500.0]), torch.randn(1, TOKENS, 32)
    with torch.no_grad():
        before = transformer(*given, return_dict=False)[0]
        attend_plainly(transformer)
        after = transformer(*given, return_dict=False)[0]
    assert torch.allclose(before, after, atol=1e-4)


def test_noise_shares_follow_the_schedule() -> None:
    torch.manual_seed(0)
    shares = draw_shares(4000, 0.1)
    assert float(shares.min()) >= 0.0
    assert float(shares.max()) <= 1.0
    assert 0.6 < float(shares.median()) < 0.9
    scheduler = build_scheduler()
    scheduler.set_timesteps(4)
    assert scheduler.timesteps[0] >= 995


def test_steps_draw_films_or_pictures() -> None:
    kinds = [kind_of_step(step) for step in range(1000, 2000)]
    assert 650 < kinds.count("films") < 790
    assert kind_of_step(5) == kind_of_step(5)
