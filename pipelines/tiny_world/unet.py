"""The denoising UNet: architecture, noise schedule, loss and training."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import Tensor
from torch.nn import functional

from pipelines.tiny_world.coupling import couple, strength_at
from pipelines.tiny_world.latents import LatentSet
from pipelines.tiny_world.text import PROJECTION, TextTower
from pipelines.tiny_world.training import Settings
from pipelines.tiny_world.vae import start_small

TERMINAL_SHARE: Final = 0.12
"""Share of samples trained at the last timestep, pure noise: every picture starts there and gets its layout there."""
UNCOUPLED_SHARE: Final = 0.2
"""Share of samples below ``UNCOUPLED_BELOW`` whose noise says nothing of the layout, as in image-to-image."""
UNCOUPLED_BELOW: Final = 900
ZERO_SHARE, EMPTY_SHARE, JUNK_SHARE = 0.06, 0.04, 0.03
JUNK: Final = (
    "blurry, low quality",
    "low quality",
    "bad quality, deformed",
    "blurry",
    "ugly, blurry, watermark",
    "text, watermark",
    "worst quality, jpeg artifacts",
    "deformed, extra objects",
)
_TIME_IDS: Final = 6
_TIME_ID_WIDTH: Final = 32


def build_scheduler() -> EulerDiscreteScheduler:
    """SDXL's betas rescaled to zero terminal SNR (Lin et al. 2023), v-prediction, trailing timesteps."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        steps_offset=1,
    )


def build_unet(settings: Settings) -> UNet2DConditionModel:
    """SDXL's shape at a thousandth of its size: one plain block, then two with cross attention."""
    channels = settings.unet_channels
    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (len(channels) - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (len(channels) - 1), "UpBlock2D"),
        block_out_channels=channels,
        layers_per_block=1,
        transformer_layers_per_block=1,
        attention_head_dim=settings.unet_heads,
        cross_attention_dim=sum(settings.text_widths),
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_ID_WIDTH,
        projection_class_embeddings_input_dim=_TIME_IDS * _TIME_ID_WIDTH + PROJECTION,
        use_linear_projection=True,
        norm_num_groups=16,
    )
    start_small(unet)
    torch.nn.init.zeros_(unet.conv_out.weight)
    torch.nn.init.zeros_(unet.conv_out.bias)
    return unet


class Batch(NamedTuple):
    """One training batch of a single format.

    ``clean`` and ``noise`` are ``(n, 4, h, w)``, ``signal`` is the clean latents' share ``(n,)``, ``steps`` are
    timesteps ``(n,)``, ``context`` is ``(n, 77, c)``; ``added`` holds SDXL's pooled embeddings and time ids.
    """

    clean: Tensor
    noise: Tensor
    signal: Tensor
    steps: Tensor
    context: Tensor
    added: dict[str, Tensor]


def velocity_loss(unet: UNet2DConditionModel, batch: Batch) -> Tensor:
    """Squared error of the predicted v = signal * noise - sigma * clean (Salimans and Ho 2022)."""
    scale = batch.signal[:, None, None, None]
    sigma = (1.0 - scale * scale).sqrt()
    noisy = scale * batch.clean + sigma * batch.noise
    with torch.autocast("cpu", torch.bfloat16):
        predicted = unet(noisy, batch.steps, batch.context, added_cond_kwargs=batch.added, return_dict=False)[0]
    return functional.mse_loss(predicted.float(), scale * batch.noise - sigma * batch.clean)


def draw_steps(count: int) -> Tensor:
    """Timesteps 0..999: ``TERMINAL_SHARE`` of them the last, the others spread evenly."""
    spread = (torch.arange(count) + torch.rand(count)) / count * 999
    steps = spread.long()[torch.randperm(count)]
    return torch.where(torch.rand(count) < TERMINAL_SHARE, torch.full_like(steps, 999), steps)


class BatchMaker:
    """Draws training batches: latents, coupled noise, timesteps, and embeddings of fresh captions."""

    def __init__(self, latents: LatentSet, tower: TextTower, batch: int, seed: int) -> None:
        self.latents, self.tower, self.batch = latents, tower, batch
        self.rng = random.Random(seed)
        self.signals = build_scheduler().alphas_cumprod.sqrt()

    def __call__(self, step: int) -> Batch:
        """A batch for a training step."""
        clean, quantiles, captions, (height, width) = self.latents.draw(self.rng, self.batch)
        steps = draw_steps(self.batch)
        noise = torch.randn_like(clean)
        free = (torch.rand(self.batch) < UNCOUPLED_SHARE) & (steps < UNCOUPLED_BELOW)
        noise = torch.where(free[:, None, None, None], noise, couple(noise, quantiles, strength_at(step)))
        context, pooled = self._embed(captions)
        ids = torch.tensor([height, width, 0, 0, height, width], dtype=torch.float32).expand(self.batch, _TIME_IDS)
        added = {"text_embeds": pooled, "time_ids": ids.contiguous()}
        return Batch(clean, noise, self.signals[steps], steps, context, added)

    @torch.no_grad()
    def _embed(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Embeddings with captions dropped: zeroed, as SDXL does without a negative prompt, or empty, or junk."""
        fates = [self.rng.random() for _ in captions]
        for index, fate in enumerate(fates):
            if fate < EMPTY_SHARE:
                captions[index] = ""
            elif fate < EMPTY_SHARE + JUNK_SHARE:
                captions[index] = self.rng.choice(JUNK)
        context, pooled = self.tower(self.tower.tokens(captions))
        kept = torch.tensor([float(fate < 1.0 - ZERO_SHARE) for fate in fates])
        return context * kept[:, None, None], pooled * kept[:, None]
