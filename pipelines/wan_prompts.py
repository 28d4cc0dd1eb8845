"""WAN's prompts through its text encoder, and a cache of them.

UMT5-XXL is three quarters of WAN 1.3B's bytes and works for a tenth of a second a job: on a small card it gives way to
the film, and comes back for the next prompt that is not in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import WanPipeline

from pipelines.text_cache import CACHED_TEXTS, TextCache

LONGEST_TEXT_TOKENS = 512
"""What WAN was trained with (arXiv:2503.20314) and diffusers' default; a tokenizer may say less."""


@dataclass(frozen=True, kw_only=True)
class WanPrompts:
    """Embeddings [1, tokens, features], zero beyond the text; `negative` is None where no guidance is asked for."""

    positive: torch.Tensor
    negative: torch.Tensor | None

    def as_arguments(self, count: int) -> dict[str, torch.Tensor | None]:
        """Return the keyword arguments of a WAN pipeline's call that makes `count` at once."""
        negative = None if self.negative is None else self.negative.expand(count, -1, -1)
        return {"prompt_embeds": self.positive.expand(count, -1, -1), "negative_prompt_embeds": negative}


class WanPromptEncoder:
    """Encodes texts as WanPipeline does, with the tokenizer and text encoder of one loaded pipeline.

    Keeps the `capacity` texts used last, in the computer's own memory; `hits` and `misses` count over the encoder's
    life, and a miss is a call of the encoder. `bring` has the encoder on `device`, and is called before it works.
    """

    def __init__(
        self,
        pipe: Any,
        fingerprint: str,
        device: torch.device,
        bring: Callable[[], None],
        capacity: int = CACHED_TEXTS,
    ) -> None:
        # The image-to-video and VACE classes of diffusers 0.42 clean prompts with ftfy without asking if it is there.
        self._encoding: Any = WanPipeline(
            tokenizer=pipe.tokenizer, text_encoder=pipe.text_encoder, vae=None, scheduler=None, transformer=None
        )
        self._device = device
        self._bring = bring
        self._tokens = min(LONGEST_TEXT_TOKENS, pipe.tokenizer.model_max_length)
        self._cache = TextCache(fingerprint, self._encode, capacity)

    @property
    def hits(self) -> int:
        return self._cache.hits

    @property
    def misses(self) -> int:
        return self._cache.misses

    def encode(self, prompt: str, negative_prompt: str, *, guided: bool) -> WanPrompts:
        """Return the embeddings on the device. A blank negative prompt is the empty text's."""
        negative = self._cache.get(negative_prompt.strip()).to(self._device) if guided else None
        return WanPrompts(positive=self._cache.get(prompt).to(self._device), negative=negative)

    @torch.inference_mode()
    def _encode(self, text: str) -> torch.Tensor:
        self._bring()
        embedding, _ = self._encoding.encode_prompt(
            text, do_classifier_free_guidance=False, max_sequence_length=self._tokens, device=self._device
        )
        kept: torch.Tensor = embedding.cpu()
        return kept
