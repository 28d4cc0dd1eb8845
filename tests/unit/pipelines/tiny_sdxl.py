"""SDXL checkpoints of random weights at tiny sizes, in every layout that people have on disk."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

VAE_SCALE = 4
NATIVE_PX = 32
MULTIPLE_PX = 8
_LAYERS = 1
_BLOCKS = (32, 64)
_VAE_BLOCKS = (16, 16, 32)


def build(seed: int = 0, **vae_overrides: object) -> StableDiffusionXLPipeline:
    """Return a float32 pipeline on the CPU. The two text encoders differ in width, as SDXL's do."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=NATIVE_PX // VAE_SCALE,
        block_out_channels=_BLOCKS,
        layers_per_block=_LAYERS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        cross_attention_dim=80,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 48,
        norm_num_groups=16,
    )
    vae = AutoencoderKL(
        block_out_channels=_VAE_BLOCKS,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        **vae_overrides,
    )
    return StableDiffusionXLPipeline(
        vae=vae,
        unet=unet,
        text_encoder=CLIPTextModel(_text_config(32)),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(48)),
        tokenizer=_tokenizer("<|endoftext|>"),
        tokenizer_2=_tokenizer("!"),
        scheduler=EulerDiscreteScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        ),
        add_watermarker=False,
    )


def _text_config(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=48,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
    )


def _tokenizer(pad_token: str) -> CLIPTokenizer:
    """Return CLIP's tokenizer without merges: a token a character, so that 77 tokens are a short sentence."""
    letters = sorted(ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: i for i, name in enumerate(names)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token=pad_token, model_max_length=77)


def save_single_file(pipe: StableDiffusionXLPipeline, path: Path) -> None:
    """Write the checkpoint as one file with the names of the original SDXL release (a superset of LDM's)."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in pipe.unet.state_dict().items():
        tensors[f"model.diffusion_model.{_unet_name(name)}"] = tensor
    for name, tensor in pipe.vae.state_dict().items():
        new = _vae_name(name)
        attention = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", new)
        tensors[f"first_stage_model.{new}"] = tensor[:, :, None, None] if attention else tensor
    for name, tensor in pipe.text_encoder.state_dict().items():
        tensors[f"conditioner.embedders.0.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
    tensors |= {
        f"conditioner.embedders.1.model.{k}": v for k, v in _open_clip(pipe.text_encoder_2.state_dict()).items()
    }
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)


def _unet_name(name: str) -> str:
    whole = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    head, _, tail = name.rpartition(".")
    if head in whole:
        return f"{whole[head]}.{tail}"
    parts = name.split(".")
    rest = ".".join(parts[4:])
    if parts[0] == "mid_block":
        block, rest = int(parts[2]), ".".join(parts[3:])
        place = "middle_block.1" if parts[1] == "attentions" else f"middle_block.{2 * block}"
    else:
        level, kind, block = int(parts[1]), parts[2], int(parts[3])
        if kind == "downsamplers":
            return f"input_blocks.{(_LAYERS + 1) * (level + 1)}.0.op.{parts[-1]}"
        up = parts[0] == "up_blocks"
        index = (_LAYERS + 1) * level + block + (0 if up else 1)
        slot = 1 if kind == "attentions" else 0
        if kind == "upsamplers":
            # After the residual block and, where this level has one, the attention.
            index, slot = (_LAYERS + 1) * level + _LAYERS, 2 if level == 0 else 1
        place = f"{'output_blocks' if up else 'input_blocks'}.{index}.{slot}"
    for old, new in (
        ("norm1.", "in_layers.0."),
        ("conv1.", "in_layers.2."),
        ("norm2.", "out_layers.0."),
        ("conv2.", "out_layers.3."),
        ("time_emb_proj.", "emb_layers.1."),
        ("conv_shortcut.", "skip_connection."),
    ):
        if "transformer_blocks" not in rest and rest.startswith(old):
            rest = new + rest.removeprefix(old)
    return f"{place}.{rest}"


def _vae_name(name: str) -> str:
    last = len(_VAE_BLOCKS) - 1
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{last - int(m[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
    return re.sub(r"to_(q|k|v)\.", r"\1.", name).replace("to_out.0", "proj_out")


def _open_clip(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    result = {"text_projection": state["text_projection.weight"].T}
    flat = {name.removeprefix("text_model."): tensor for name, tensor in state.items()}
    for name, tensor in flat.items():
        new = name.replace("encoder.layers", "transformer.resblocks").replace("self_attn.out_proj", "attn.out_proj")
        new = new.replace("layer_norm1", "ln_1").replace("layer_norm2", "ln_2").replace("final_layer_norm", "ln_final")
        new = new.replace("mlp.fc1", "mlp.c_fc").replace("mlp.fc2", "mlp.c_proj")
        new = new.replace("embeddings.position_embedding.weight", "positional_embedding")
        new = new.replace("embeddings.token_embedding", "token_embedding")
        if ".q_proj." in name:
            rows = [flat[name.replace("q_proj", f"{which}_proj")] for which in "qkv"]
            result[new.replace("self_attn.q_proj.", "attn.in_proj_")] = torch.cat(rows)
        elif not re.search(r"\.[kv]_proj\.|position_ids|text_projection", name):
            result[new] = tensor
    return result
