"""Bring a Qwen2.5 instruct checkpoint into memory, in full, 8-bit or 4-bit precision."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils.import_utils import is_bitsandbytes_available

from pipelines.checkpoint_roles import ENVIRONMENT_VARIABLE
from pipelines.checkpoints import Checkpoint, Kind
from pipelines.contract import ModelMissing
from pipelines.loading import LoadOptions, limit_threads, quiet_libraries
from pipelines.memory import is_out_of_memory, out_of_memory_as_advice

logger = logging.getLogger(__name__)

QUANTIZATIONS = (None, "8bit", "4bit")

# What transformers raises over files that anyone may have made.
_READING_ERRORS = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


@dataclass(frozen=True, kw_only=True)
class Qwen:
    """A loaded model in evaluation mode, its tokenizer, and how it was loaded."""

    model: Any
    tokenizer: Any
    options: LoadOptions
    quantization: str | None


def load_qwen(checkpoint: Checkpoint, options: LoadOptions, quantization: str | None = None) -> Qwen:
    """Return the model of `checkpoint` on its device.

    `quantization` is None, "8bit" (half the bytes of bfloat16) or "4bit" (a third): by bitsandbytes (LLM.int8(),
    arXiv:2208.07339; NF4, arXiv:2305.14314), and for 8 bits on a CPU by torch itself. Raises ModelMissing where the
    files are absent or do not fit together or bitsandbytes is not installed, OutOfMemory where the device is too small.
    """
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"quantization is one of {QUANTIZATIONS}, not {quantization!r}")
    by_torch = quantization == "8bit" and options.device.type == "cpu"
    if quantization and not by_torch and not is_bitsandbytes_available():
        raise ModelMissing(
            f"Loading {checkpoint.name} in {quantization.removesuffix('bit')} bits needs the package bitsandbytes, "
            f"which is not installed. Install it, or load the model in full precision."
        )
    quiet_libraries()
    limit_threads()
    if options.on_part is not None:
        options.on_part("model", 0, 1)
    if by_torch:
        options = replace(options, dtype=torch.float32)
    with out_of_memory_as_advice(f"loading {checkpoint.name}"):
        try:
            tokenizer, model = _read(checkpoint, options, None if by_torch else quantization)
            _check(tokenizer, model)
        except _READING_ERRORS as error:
            if is_out_of_memory(error):
                raise
            logger.exception("checkpoint %s does not load", checkpoint.location)
            raise ModelMissing(_why_not(checkpoint, options)) from error
        if not quantization:
            model.to(options.device)
        if by_torch:
            model = _in_int8(model)
    return Qwen(
        model=model.eval().requires_grad_(False), tokenizer=tokenizer, options=options, quantization=quantization
    )


def _read(checkpoint: Checkpoint, options: LoadOptions, bits: str | None) -> tuple[Any, Any]:
    common: dict[str, Any] = {
        "cache_dir": options.cache_dir,
        "local_files_only": options.offline or checkpoint.kind is not Kind.HUB,
    }
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.location, **common)
    quantized: dict[str, Any] = {"quantization_config": _bitsandbytes(bits, options.dtype)} if bits else {}
    if bits or options.device.type != "cpu":
        # Straight to the device, file by file: the whole model never stands in host memory.
        quantized["device_map"] = {"": str(options.device)}
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint.location, dtype=options.dtype, use_safetensors=True, **common, **quantized
    )
    return tokenizer, model


def _bitsandbytes(bits: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _in_int8(model: Any) -> Any:
    """`model` with the weights of its linear layers in 8 bits, activations quantised as they come."""
    with warnings.catch_warnings():
        # torch means to move this to torchao one day; torch is pinned, and torchao lacks it for plain CPUs today.
        warnings.filterwarnings("ignore", message=".*quantiz", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*quantize_per", category=UserWarning)
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)


def _check(tokenizer: Any, model: Any) -> None:
    if not tokenizer.chat_template:
        raise ValueError("the tokenizer has no chat template: not an instruct model")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise ValueError("the tokenizer knows more tokens than the model")
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end token")


def _why_not(checkpoint: Checkpoint, options: LoadOptions) -> str:
    if checkpoint.kind is Kind.HUB:
        where = "is not in the download cache" if options.offline else "could not be downloaded"
        return (
            f"The model {checkpoint.name} {where}. Check the name and the network, set HF_TOKEN if it is gated, "
            f"or set {ENVIRONMENT_VARIABLE[checkpoint.role]} to a local folder."
        )
    return (
        f"The checkpoint {checkpoint.name} does not fit together as a Qwen2.5 instruct model with a chat template. "
        f"Copy it again, or set another."
    )
