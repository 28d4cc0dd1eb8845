"""Short prompts written out into rich ones by a Qwen2.5 instruct model (arXiv:2412.15115)."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch

from pipelines.checkpoints import Checkpoint, resolve
from pipelines.contract import (
    InvalidRequest,
    IsCancelled,
    Occupied,
    Progress,
    ReportProgress,
    Rewriter,
    RewriteRequest,
    RewriteResult,
    Stage,
)
from pipelines.loading import LoadOptions, choose_device, choose_wide_dtype
from pipelines.memory import free_memory, module_bytes, out_of_memory_as_advice
from pipelines.metering import Meter
from pipelines.prompt_writing import CHINESE, ENGLISH, IMAGE, VIDEO, normalised
from pipelines.qwen_loading import QUANTIZATIONS, Qwen, load_qwen
from pipelines.qwen_writing import LOADED_FRACTION, Answer, Writing, stop_if
from pipelines.residency import Part, Parts

logger = logging.getLogger(__name__)

REPORT_INTERVAL_S = 0.1
CACHED_ANSWERS = 512
_MODEL = "model"
_LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True, kw_only=True)
class QwenOptions:
    """How to find and load the checkpoint; see `pipelines.checkpoints.resolve` and `pipelines.qwen_loading.load_qwen`.

    `quantization` is None, "8bit" or "4bit".
    """

    checkpoint: str | None = None
    cache_dir: str | None = None
    device: str | None = None
    dtype: str | None = None
    offline: bool = False
    quantization: str | None = None
    report_interval_s: float = REPORT_INTERVAL_S

    def __post_init__(self) -> None:
        if self.quantization not in QUANTIZATIONS:
            raise ValueError(f"quantization is one of {QUANTIZATIONS}, not {self.quantization!r}")


def create(**options: Any) -> Rewriter:
    """Return a rewriter that has loaded nothing yet. `options` are the fields of QwenOptions."""
    return QwenRewriter(QwenOptions(**options))


class QwenRewriter:
    """Implements pipelines.contract.Rewriter.

    Keeps the `CACHED_ANSWERS` answers given last, unusable ones too. The key holds everything that an answer depends
    on, the seed included: the same request is answered at once and by the same words, another seed by others. Answers
    are text of at most 4,000 characters, so they outlast `release`: a prompt known already needs no model at all.

    The model is one part, "model". Quantised weights are more than parameters, so such a model gives way as a whole and
    is loaded again; the others as those of pictures and films do.
    """

    def __init__(self, options: QwenOptions) -> None:
        self._options = options
        self._checkpoint: Checkpoint | None = None
        self._qwen: Qwen | None = None
        self._parts: Parts | None = None
        self._device = choose_device(options.device)
        self._meter = Meter(self._device, "qwen")
        self._loading_s = 0.0
        self._answers: OrderedDict[tuple[str, str, str, str, int], Answer] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def load(self, report: ReportProgress) -> None:
        """Bring the checkpoint into memory. Idempotent. Raises ModelMissing or OutOfMemory."""
        if self._qwen is not None:
            return
        began = time.perf_counter()
        self._meter.restart()
        report(Progress(stage=Stage.LOADING, fraction=0.0, steps=1))
        self._checkpoint = checkpoint = resolve("qwen", self._options.checkpoint)
        options = LoadOptions(
            device=self._device,
            dtype=choose_wide_dtype(self._device.type, self._options.dtype),
            cache_dir=self._options.cache_dir,
            offline=self._options.offline,
        )
        quantization = self._options.quantization
        self._qwen = load_qwen(checkpoint, options, quantization)
        if quantization is None:
            part = Part(modules=(self._qwen.model,), read=lambda: [load_qwen(checkpoint, options).model])
            self._parts = Parts(self._device, {_MODEL: part})
        self._loading_s = time.perf_counter() - began
        precision = quantization or options.dtype
        logger.info("loaded %s on %s as %s in %.1f s", checkpoint.name, self._device, precision, self._loading_s)
        report(Progress(stage=Stage.LOADING, fraction=LOADED_FRACTION))

    def generate(self, request: RewriteRequest, report: ReportProgress, is_cancelled: IsCancelled) -> RewriteResult:
        """Rewrite `request.prompt`, reporting the text as it grows. Raises a PipelineError; Cancelled within a token.

        An answer that cannot be used is no error: the result then has no prompt, and a note.
        """
        self._meter.restart()
        _require_possible(request)
        stop_if(is_cancelled)
        # 1. Answer at once what was answered before
        if self._checkpoint is None:
            self._checkpoint = resolve("qwen", self._options.checkpoint)
        known = self._known(request)
        if known is not None:
            report(Progress(stage=Stage.ENHANCING, fraction=1.0, text=known.verdict.prompt))
            return self._result(known, cached=True, timings_s={"loading_s": 0.0, "enhancing_s": 0.0})
        # 2. Bring the model into memory
        self.load(report)
        assert self._qwen is not None
        loading_s, self._loading_s = self._loading_s, 0.0
        began = time.perf_counter()
        # 3. Let it write, and once more at another seed where the first answer cannot be used
        with out_of_memory_as_advice(f"job {request.job_id}"), torch.inference_mode():
            if self._parts is not None:
                self._parts.bring(_MODEL)
            answer = Writing(self._qwen, request, report, is_cancelled, self._options.report_interval_s).write()
        self._remember(request, answer)
        enhancing_s = time.perf_counter() - began
        report(Progress(stage=Stage.ENHANCING, fraction=1.0, text=answer.verdict.prompt))
        return self._result(answer, cached=False, timings_s={"loading_s": loading_s, "enhancing_s": enhancing_s})

    def give_way(self, parts: Collection[str]) -> None:
        """Take the model off the device, if it is named. It comes back when a prompt needs it."""
        if _MODEL not in parts:
            return
        if self._parts is not None:
            self._parts.give_way(parts)
        elif self._qwen is not None:
            self._qwen = None
            free_memory()

    def occupied(self) -> Occupied:
        """Return what this process occupies on its device."""
        parts: dict[str, int] = {}
        if self._parts is not None:
            parts = self._parts.bytes_there()
        elif self._qwen is not None:
            parts = {_MODEL: module_bytes(self._qwen.model)}
        return self._meter.occupied(parts)

    def release(self) -> None:
        """Give back every byte of weights and their caches. `load` may be called again; answers given stay known."""
        self._qwen = None
        self._parts = None
        self._checkpoint = None
        free_memory()

    def _key(self, request: RewriteRequest) -> tuple[str, str, str, str, int]:
        assert self._checkpoint is not None
        return (self._checkpoint.fingerprint, request.kind, request.language, normalised(request.prompt), request.seed)

    def _known(self, request: RewriteRequest) -> Answer | None:
        key = self._key(request)
        if key not in self._answers:
            self.misses += 1
            return None
        self.hits += 1
        self._answers.move_to_end(key)
        return self._answers[key]

    def _remember(self, request: RewriteRequest, answer: Answer) -> None:
        self._answers[self._key(request)] = answer
        if len(self._answers) > CACHED_ANSWERS:
            self._answers.popitem(last=False)

    def _result(self, answer: Answer, *, cached: bool, timings_s: dict[str, float]) -> RewriteResult:
        assert self._checkpoint is not None
        facts = {
            "checkpoint": self._checkpoint.name,
            "fingerprint": self._checkpoint.fingerprint,
            "cached": cached,
            "cache_hits": self.hits,
            "cache_misses": self.misses,
            "versions": _versions(),
        }
        return RewriteResult(
            prompt=answer.verdict.prompt,
            note=answer.verdict.note,
            timings_s=timings_s,
            receipt=answer.receipt | facts,
        )


def _require_possible(request: RewriteRequest) -> None:
    if request.kind not in (IMAGE, VIDEO):
        raise InvalidRequest(f"Prompts are written for an image or a video, not for {request.kind!r}.")
    if request.language not in (ENGLISH, CHINESE):
        raise InvalidRequest(f"Prompts are written in en or zh, not in {request.language!r}.")
    if not normalised(request.prompt):
        raise InvalidRequest("There is no prompt to rewrite.")


@functools.cache
def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}
