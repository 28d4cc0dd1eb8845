"""The published configurations of the models that the studio runs in earnest, as plain data: no model library needed.

From the `config.json` files of the repositories that `HUB_IDS` names, with what only training reads left out.
`PARAMETERS` are what these give, and what the published files hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

HUB_IDS: Mapping[str, str] = {
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "wan": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    "qwen": "Qwen/Qwen2.5-7B-Instruct",
}


@dataclass(frozen=True, kw_only=True)
class PublishedPart:
    """One model of a checkpoint: the class that reads `config`, where that class lives, and how many parameters its
    published file holds (None for what is built after it and not published)."""

    library: Literal["diffusers", "transformers"]
    class_name: str
    config: Mapping[str, Any]
    parameters: int | None


SDXL_UNET = PublishedPart(
    library="diffusers",
    class_name="UNet2DConditionModel",
    parameters=2_567_463_684,
    config={
        "act_fn": "silu",
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "attention_head_dim": [5, 10, 20],
        "block_out_channels": [320, 640, 1280],
        "cross_attention_dim": 2048,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "norm_num_groups": 32,
        "out_channels": 4,
        "projection_class_embeddings_input_dim": 2816,
        "sample_size": 128,
        "transformer_layers_per_block": [1, 2, 10],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "use_linear_projection": True,
    },
)
SDXL_VAE = PublishedPart(
    library="diffusers",
    class_name="AutoencoderKL",
    parameters=83_653_863,
    config={
        "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "force_upcast": True,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": 1024,
        "scaling_factor": 0.13025,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
)
SDXL_TEXT_ENCODER = PublishedPart(
    library="transformers",
    class_name="CLIPTextModel",
    parameters=123_060_480,
    config={
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "max_position_embeddings": 77,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "projection_dim": 768,
        "vocab_size": 49408,
    },
)
SDXL_TEXT_ENCODER_2 = PublishedPart(
    library="transformers",
    class_name="CLIPTextModelWithProjection",
    parameters=694_659_840,
    config={
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "max_position_embeddings": 77,
        "num_attention_heads": 20,
        "num_hidden_layers": 32,
        "pad_token_id": 1,
        "projection_dim": 1280,
        "vocab_size": 49408,
    },
)
WAN_TRANSFORMER = PublishedPart(
    library="diffusers",
    class_name="WanTransformer3DModel",
    parameters=1_418_996_800,
    config={
        "added_kv_proj_dim": None,
        "attention_head_dim": 128,
        "cross_attn_norm": True,
        "eps": 1e-6,
        "ffn_dim": 8960,
        "freq_dim": 256,
        "image_dim": None,
        "in_channels": 16,
        "num_attention_heads": 12,
        "num_layers": 30,
        "out_channels": 16,
        "patch_size": [1, 2, 2],
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 1024,
        "text_dim": 4096,
    },
)
WAN_VAE = PublishedPart(
    library="diffusers",
    class_name="AutoencoderKLWan",
    parameters=126_892_531,
    config={
        "attn_scales": [],
        "base_dim": 96,
        "dim_mult": [1, 2, 4, 4],
        "dropout": 0.0,
        "latents_mean": [
            *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
            *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
        ],
        "latents_std": [
            *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
            *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.916),
        ],
        "num_res_blocks": 2,
        "temperal_downsample": [False, True, True],
        "z_dim": 16,
    },
)
WAN_TEXT_ENCODER = PublishedPart(
    library="transformers",
    class_name="UMT5EncoderModel",
    parameters=5_680_910_336,
    config={
        "d_ff": 10240,
        "d_kv": 64,
        "d_model": 4096,
        "feed_forward_proj": "gated-gelu",
        "num_decoder_layers": 24,
        "num_heads": 64,
        "num_layers": 24,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "vocab_size": 256384,
    },
)
QWEN_MODEL = PublishedPart(
    library="transformers",
    class_name="Qwen2ForCausalLM",
    parameters=7_615_616_512,
    config={
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "hidden_act": "silu",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "max_position_embeddings": 32768,
        "num_attention_heads": 28,
        "num_hidden_layers": 28,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": False,
        "vocab_size": 152064,
    },
)

PUBLISHED: Mapping[str, Mapping[str, PublishedPart]] = {
    "sdxl": {
        "text_encoder": SDXL_TEXT_ENCODER,
        "text_encoder_2": SDXL_TEXT_ENCODER_2,
        "unet": SDXL_UNET,
        "vae": SDXL_VAE,
    },
    "wan": {"text_encoder": WAN_TEXT_ENCODER, "transformer": WAN_TRANSFORMER, "vae": WAN_VAE},
    "qwen": {"model": QWEN_MODEL},
}
