"""WAN checkpoints of random weights at tiny sizes: text to video, image to video, VACE.

`python -m tests.unit.pipelines.tiny_wan FOLDER` writes the text-to-video one, for a studio to be started with.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Tokenizer,
    UMT5Config,
    UMT5EncoderModel,
)

Z_DIM = 4
TEXT_TOKENS = 24
IMAGE_FEATURES = 16
LAYERS = 3


def build(seed: int = 0) -> WanPipeline:
    """Return a float32 text-to-video pipeline on the CPU."""
    torch.manual_seed(seed)
    return WanPipeline(**_common(), transformer=WanTransformer3DModel(**_transformer()))


def build_image_to_video(seed: int = 0) -> WanImageToVideoPipeline:
    """Return the layout of WAN 2.1's image to video: mask and first frame beside the latents, CLIP beside the text."""
    torch.manual_seed(seed)
    channels = 2 * Z_DIM + 4
    transformer = WanTransformer3DModel(**_transformer() | {"in_channels": channels, "image_dim": IMAGE_FEATURES})
    vision = CLIPVisionConfig(
        hidden_size=IMAGE_FEATURES,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=IMAGE_FEATURES,
    )
    return WanImageToVideoPipeline(
        **_common(),
        transformer=transformer,
        image_encoder=CLIPVisionModel(vision),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )


def build_vace(seed: int = 0) -> WanVACEPipeline:
    """Return the layout of WAN 2.1's VACE: a second row of blocks reads frames that steer."""
    torch.manual_seed(seed)
    # Kept and changed parts of the frames, and the mask, one channel a pixel under a latent.
    control = 2 * Z_DIM + 4 * 4
    transformer = WanVACETransformer3DModel(**_transformer(), vace_layers=[0, 2], vace_in_channels=control)
    return WanVACEPipeline(**_common(), transformer=transformer)


def _common() -> dict[str, Any]:
    # latents_mean and latents_std differ a channel, so that forgetting them shows.
    vae = AutoencoderKLWan(
        base_dim=8,
        z_dim=Z_DIM,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.1, -0.1, 0.2, 0.0],
        latents_std=[1.0, 0.8, 1.2, 0.9],
        scale_factor_temporal=4,
        scale_factor_spatial=4,
    )
    encoder = UMT5Config(
        vocab_size=64, d_model=32, d_kv=8, d_ff=32, num_layers=2, num_heads=4, relative_attention_num_buckets=8
    )
    return {
        "tokenizer": _tokenizer(),
        "text_encoder": UMT5EncoderModel(encoder).eval(),
        "vae": vae.eval(),
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
    }


def _transformer() -> dict[str, Any]:
    return {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": Z_DIM,
        "out_channels": Z_DIM,
        "text_dim": 32,
        "freq_dim": 32,
        "ffn_dim": 48,
        "num_layers": LAYERS,
        "qk_norm": "rms_norm_across_heads",
        "cross_attn_norm": True,
        "rope_max_seq_len": 64,
    }


def _tokenizer() -> T5Tokenizer:
    """Return a unigram tokenizer of single letters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0)]
    pieces += [(letter, -2.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces += [(f"▁{letter}", -2.5) for letter in "abcdefghijklmnopqrstuvwxyz"]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=TEXT_TOKENS)


if __name__ == "__main__":
    build().save_pretrained(Path(sys.argv[1]))
