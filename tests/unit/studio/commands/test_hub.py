"""Which files of a repository are needed, by the listings of the real ones."""

from __future__ import annotations

import pytest

from studio.commands.hub import HubFile, PullFailed, needed_files

SDXL_PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae")
SDXL = """
.gitattributes 01.png LICENSE.md README.md model_index.json pipeline.png scheduler/scheduler_config.json
sd_xl_base_1.0.safetensors sd_xl_base_1.0_0.9vae.safetensors sd_xl_offset_example-lora_1.0.safetensors
text_encoder/config.json text_encoder/flax_model.msgpack text_encoder/model.fp16.safetensors text_encoder/model.onnx
text_encoder/model.safetensors text_encoder/openvino_model.bin text_encoder/openvino_model.xml
text_encoder_2/config.json text_encoder_2/flax_model.msgpack text_encoder_2/model.fp16.safetensors
text_encoder_2/model.onnx text_encoder_2/model.onnx_data text_encoder_2/model.safetensors
tokenizer/merges.txt tokenizer/special_tokens_map.json tokenizer/tokenizer_config.json tokenizer/vocab.json
tokenizer_2/merges.txt tokenizer_2/special_tokens_map.json tokenizer_2/tokenizer_config.json tokenizer_2/vocab.json
unet/config.json unet/diffusion_flax_model.msgpack unet/diffusion_pytorch_model.fp16.safetensors
unet/diffusion_pytorch_model.safetensors unet/model.onnx unet/model.onnx_data
vae/config.json vae/diffusion_flax_model.msgpack vae/diffusion_pytorch_model.fp16.safetensors
vae/diffusion_pytorch_model.safetensors vae_1_0/config.json vae_1_0/diffusion_pytorch_model.safetensors
vae_decoder/config.json vae_decoder/model.onnx vae_encoder/config.json vae_encoder/model.onnx
"""
WAN_PARTS = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")
WAN = """
.gitattributes README.md assets/logo.png examples/i2v_input.JPG model_index.json scheduler/scheduler_config.json
text_encoder/config.json text_encoder/model-00001-of-00002.safetensors text_encoder/model-00002-of-00002.safetensors
text_encoder/model.safetensors.index.json
tokenizer/special_tokens_map.json tokenizer/spiece.model tokenizer/tokenizer.json tokenizer/tokenizer_config.json
transformer/config.json transformer/diffusion_pytorch_model-00001-of-00002.safetensors
transformer/diffusion_pytorch_model-00002-of-00002.safetensors
transformer/diffusion_pytorch_model.safetensors.index.json vae/config.json vae/diffusion_pytorch_model.safetensors
"""
QWEN = """
.gitattributes LICENSE README.md config.json generation_config.json merges.txt model-00001-of-00002.safetensors
model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.json tokenizer_config.json vocab.json
original/consolidated.safetensors
"""


def listing(text: str) -> list[HubFile]:
    return [HubFile(path=path, bytes=1) for path in text.split()]


def needed(role: str, text: str, parts: tuple[str, ...]) -> set[str]:
    return {file.path for file in needed_files(role, listing(text), parts)}


def test_of_sdxl_the_half_precision_files_and_nothing_twice() -> None:
    found = needed("sdxl", SDXL, SDXL_PARTS)
    assert {path for path in found if path.endswith(".safetensors")} == {
        "text_encoder/model.fp16.safetensors",
        "text_encoder_2/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }
    assert {"model_index.json", "unet/config.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"} <= found
    assert {path.rpartition(".")[2] for path in found} == {"json", "txt", "safetensors"}
    assert len(found) == 4 + 1 + 1 + 4 + 8


def test_of_sdxl_the_plain_files_where_one_part_lacks_the_half() -> None:
    found = needed("sdxl", SDXL.replace("vae/diffusion_pytorch_model.fp16.safetensors", ""), SDXL_PARTS)
    assert "unet/diffusion_pytorch_model.safetensors" in found
    assert not [path for path in found if ".fp16." in path]


def test_of_sdxl_half_precision_alone_will_do() -> None:
    text = SDXL.replace("unet/diffusion_pytorch_model.safetensors", "")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in needed("sdxl", text, SDXL_PARTS)


def test_of_wan_all_shards_with_their_indices() -> None:
    found = needed("wan", WAN, WAN_PARTS)
    assert found == {path for path in WAN.split() if "/" in path and not path.startswith(("assets", "examples"))} | {
        "model_index.json"
    }


def test_of_wan_the_precision_that_is_asked_for_though_there_is_another() -> None:
    halves = "vae/diffusion_pytorch_model.fp16.safetensors transformer/diffusion_pytorch_model.fp16-00001-of-00002."
    more = f"{halves}safetensors transformer/diffusion_pytorch_model.safetensors.index.fp16.json"
    assert needed("wan", WAN + more, WAN_PARTS) == needed("wan", WAN, WAN_PARTS)


def test_a_single_file_comes_before_its_own_shards() -> None:
    found = needed("wan", f"{WAN} transformer/diffusion_pytorch_model.safetensors", WAN_PARTS)
    assert {path for path in found if path.startswith("transformer/")} == {
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
    }


def test_of_qwen_the_files_in_the_root() -> None:
    assert needed("qwen", QWEN, ("",)) == {
        path for path in QWEN.split() if path not in {".gitattributes", "LICENSE", "README.md"} and "/" not in path
    }


def test_pickled_weights_are_refused() -> None:
    text = WAN.replace("vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin")
    with pytest.raises(PullFailed, match=r"vae is not offered as \.safetensors.*STUDIO_WAN_MODEL"):
        needed("wan", text, WAN_PARTS)
