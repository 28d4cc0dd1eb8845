"""Writes the trained parts as an ordinary Wan checkpoint folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from torch import Tensor

from pipelines.tiny_world.export import save_pipeline
from pipelines.tiny_world.wan_settings import WanSettings
from pipelines.tiny_world.wan_text import FilmText
from pipelines.tiny_world.wan_transformer import build_scheduler, build_transformer


def build_wan_pipeline(
    settings: WanSettings, weights: dict[str, Tensor], vae: AutoencoderKLWan, text: FilmText
) -> WanPipeline:
    """An ordinary Wan pipeline in fp32 of plain library classes; ``weights`` are the transformer's."""
    transformer = build_transformer(settings)
    transformer.load_state_dict(weights)
    scheduler: Any = build_scheduler()
    tokenizer: Any = text.tokenizer
    return WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text.encoder,
        vae=vae,
        scheduler=scheduler,
        transformer=transformer,
    )


def export_wan_pipeline(pipeline: WanPipeline, folder: Path) -> None:
    """Writes bfloat16 weights, except for those that Wan's transformer keeps in fp32; the pipeline is cast by that."""
    fp32 = tuple(pipeline.transformer._keep_in_fp32_modules)
    for name, parameter in pipeline.transformer.named_parameters():
        if not any(part in name.split(".") for part in fp32):
            parameter.data = parameter.data.to(torch.bfloat16)
    pipeline.vae.to(dtype=torch.bfloat16)
    pipeline.text_encoder.to(dtype=torch.bfloat16)
    save_pipeline(pipeline, folder)
