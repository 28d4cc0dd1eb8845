"""SDXL prompts of any length, and a cache of what was encoded.

CLIP reads 77 tokens: a beginning mark, 75 of text, an end mark. Longer text is cut into chunks of 75 that are encoded
one beside the other and joined along the sequence, which cross-attention accepts at any length; the pooled embedding
is the first chunk's. Text that fits one chunk gives the tensors that `StableDiffusionXLPipeline.encode_prompt` gives,
bit by bit, as no prompt-weighting syntax is read: brackets and plus signs are just text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.text_cache import CACHED_TEXTS, TextCache

_WORD_END = "</w>"


@dataclass(frozen=True, kw_only=True)
class TextEmbedding:
    """One text: `hidden` [1, 77 * chunks, features of both encoders], `pooled` [1, projection]."""

    hidden: torch.Tensor
    pooled: torch.Tensor
    chunks: int


@dataclass(frozen=True, kw_only=True)
class PromptEmbeddings:
    """What a pipeline takes. The negative half is None where no guidance is asked for. Both have one length."""

    positive: TextEmbedding
    negative: TextEmbedding | None

    def as_arguments(self) -> dict[str, torch.Tensor]:
        """Return the keyword arguments of an SDXL pipeline's call."""
        arguments = {"prompt_embeds": self.positive.hidden, "pooled_prompt_embeds": self.positive.pooled}
        if self.negative is not None:
            arguments["negative_prompt_embeds"] = self.negative.hidden
            arguments["negative_pooled_prompt_embeds"] = self.negative.pooled
        return arguments


class PromptEncoder:
    """Encodes texts with the two tokenizers and text encoders of one loaded SDXL pipeline.

    Keeps the `capacity` texts used last; `hits` and `misses` count over the encoder's life. `bring` has the text
    encoders on the device, and is called before they work.
    """

    def __init__(self, pipe: Any, fingerprint: str, bring: Callable[[], None], capacity: int = CACHED_TEXTS) -> None:
        self._pipe = pipe
        self._bring = bring
        self._cache = TextCache(fingerprint, self._encode, capacity)

    @property
    def hits(self) -> int:
        return self._cache.hits

    @property
    def misses(self) -> int:
        return self._cache.misses

    def encode(self, prompt: str, negative_prompt: str, *, guided: bool) -> PromptEmbeddings:
        """Return the embeddings of both prompts, padded to one length with empty chunks.

        A blank negative prompt is zeros where the checkpoint says `force_zeros_for_empty_prompt`, as SDXL was trained.
        """
        positive = self._cache.get(prompt)
        if not guided:
            return PromptEmbeddings(positive=positive, negative=None)
        blank = not negative_prompt.strip()
        if blank and self._pipe.config.force_zeros_for_empty_prompt:
            negative = TextEmbedding(
                hidden=torch.zeros_like(positive.hidden),
                pooled=torch.zeros_like(positive.pooled),
                chunks=positive.chunks,
            )
        else:
            negative = self._cache.get("" if blank else negative_prompt)
        chunks = max(positive.chunks, negative.chunks)
        return PromptEmbeddings(positive=self._padded(positive, chunks), negative=self._padded(negative, chunks))

    def _padded(self, embedding: TextEmbedding, chunks: int) -> TextEmbedding:
        missing = chunks - embedding.chunks
        if not missing:
            return embedding
        filler = self._cache.get("").hidden.repeat(1, missing, 1)
        return TextEmbedding(
            hidden=torch.cat([embedding.hidden, filler], dim=1), pooled=embedding.pooled, chunks=chunks
        )

    @torch.inference_mode()
    def _encode(self, text: str) -> TextEmbedding:
        self._bring()
        pipe = self._pipe
        pairs = ((pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2))
        chunked = [token_chunks(tokenizer, text) for tokenizer, _ in pairs]
        count = max(len(chunks) for chunks in chunked)
        features = []
        for (tokenizer, encoder), chunks in zip(pairs, chunked, strict=True):
            rows = chunks + token_chunks(tokenizer, "") * (count - len(chunks))
            output = encoder(torch.tensor(rows, device=encoder.device), output_hidden_states=True)
            # SDXL reads the layer before the last (arXiv:2307.01952, section 2.1): [chunks, 77, features].
            hidden = output.hidden_states[-2]
            features.append(hidden.reshape(1, -1, hidden.shape[-1]))
        dtype = pipe.text_encoder_2.dtype
        return TextEmbedding(hidden=torch.cat(features, dim=-1).to(dtype), pooled=output[0][:1].to(dtype), chunks=count)


def token_chunks(tokenizer: Any, text: str) -> list[list[int]]:
    """Return the token ids of `text` in rows of `model_max_length` (77), marks and padding included; one row at least.

    A row ends with a whole word, unless one word fills it.
    """
    length = tokenizer.model_max_length
    ids: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    chunks: list[list[int]] = []
    while ids or not chunks:
        end = _word_boundary(tokenizer, ids, length - 2)
        row = [tokenizer.bos_token_id, *ids[:end], tokenizer.eos_token_id]
        chunks.append(row + [tokenizer.pad_token_id] * (length - len(row)))
        ids = ids[end:]
    return chunks


def _word_boundary(tokenizer: Any, ids: list[int], room: int) -> int:
    if len(ids) <= room:
        return len(ids)
    tokens = tokenizer.convert_ids_to_tokens(ids[:room])
    return next((i + 1 for i in reversed(range(room)) if tokens[i].endswith(_WORD_END)), room)
