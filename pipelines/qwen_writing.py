"""One answer of a language model: sampled by seed, reported as it grows, stopped within a token, judged."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from pipelines.checkpoint_roles import ENVIRONMENT_VARIABLE
from pipelines.contract import Cancelled, IsCancelled, ModelMissing, Progress, ReportProgress, RewriteRequest, Stage
from pipelines.prompt_cleaning import Verdict, judge, tidy, unusable
from pipelines.prompt_writing import conversation
from pipelines.qwen_loading import Qwen

logger = logging.getLogger(__name__)

# The share of a run's progress that is over when the model is there, and when the first try has used all its tokens.
LOADED_FRACTION = 0.05
FIRST_TRY_FRACTION = 0.75
TRIES = 2
NEXT_TRY_SEED_STEP = 1_000_003
"""Added to the seed of a second try: far from the seeds that people count up by."""
ROOM_TOKENS = 400
ROOM_TOKENS_A_PROMPT_TOKEN = 1.5
LARGEST_ROOM_TOKENS = 1600
SMALLEST_ROOM_TOKENS = 64
"""An answer gets the first plus the second a token of the prompt, up to the third; under the fourth it is not begun."""
TEMPERATURE, TOP_P, TOP_K = 0.7, 0.8, 20
"""Qwen2.5's own, for a checkpoint whose generation config samples nothing."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A judged answer, and the facts of how it came about (JSON values)."""

    verdict: Verdict
    receipt: dict[str, Any]


class Writing:
    """One request's tries: each reports its progress and heeds a cancel."""

    def __init__(
        self,
        qwen: Qwen,
        request: RewriteRequest,
        report: ReportProgress,
        is_cancelled: IsCancelled,
        report_interval_s: float,
    ) -> None:
        self._qwen = qwen
        self._request = request
        self._report = report
        self._is_cancelled = is_cancelled
        self._report_interval_s = report_interval_s
        self._tokens = 0
        self._seconds = 0.0

    def write(self) -> Answer:
        """Return the first answer that can be used, or what is wrong with the last. Raises Cancelled."""
        request = self._request
        inputs = self._inputs()
        room = self._room(int(inputs["input_ids"].shape[1]))
        if room < SMALLEST_ROOM_TOKENS:
            return self._answer(unusable("it is too long to be rewritten"), tries=0)
        self._report(Progress(stage=Stage.ENHANCING, fraction=LOADED_FRACTION, steps=room))
        verdict = unusable("the model answered nothing")
        for i in range(TRIES):
            text, finished = self._try(inputs, request.seed + i * NEXT_TRY_SEED_STEP, room, is_first=i == 0)
            verdict = judge(request.prompt, text, request.language, finished=finished)
            if verdict.prompt is not None:
                return self._answer(verdict, tries=i + 1)
            # The words themselves are a person's and stay out of the log.
            logger.info("job %s: try %d of %d: %s", request.job_id, i + 1, TRIES, verdict.note)
        return self._answer(verdict, tries=TRIES)

    def _inputs(self) -> Any:
        turns = conversation(self._request.prompt, self._request.kind, self._request.language)
        try:
            inputs = self._qwen.tokenizer.apply_chat_template(
                [{"role": turn.role, "content": turn.content} for turn in turns],
                add_generation_prompt=True,
                return_tensors="pt",
                return_dict=True,
                # Heard by the templates of models that would else think aloud first, as Qwen3's; others ignore it.
                enable_thinking=False,
            )
        except TemplateError as error:
            # Those of some other families refuse a system prompt.
            raise ModelMissing(
                f"The chat template of the language model does not take instructions. "
                f"Set {ENVIRONMENT_VARIABLE['qwen']} to a Qwen2.5 instruct model."
            ) from error
        return inputs.to(self._qwen.model.device)

    def _room(self, length: int) -> int:
        """How many tokens the answer may have: about twice what is asked for, within what the checkpoint allows."""
        model = self._qwen.model
        prompt_tokens = len(self._qwen.tokenizer(self._request.prompt).input_ids)
        wanted = min(LARGEST_ROOM_TOKENS, ROOM_TOKENS + int(ROOM_TOKENS_A_PROMPT_TOKEN * prompt_tokens))
        own_limit = model.generation_config.max_new_tokens or wanted
        return min(wanted, own_limit, int(model.config.max_position_embeddings) - length)

    def _try(self, inputs: Any, seed: int, room: int, *, is_first: bool) -> tuple[str, bool]:
        """Return what the model wrote, and whether it ended by itself."""
        fractions = (LOADED_FRACTION, FIRST_TRY_FRACTION) if is_first else (FIRST_TRY_FRACTION, 1.0)
        growing = _GrowingText(self._qwen.tokenizer, self._report, room, fractions, self._report_interval_s)
        began = time.perf_counter()
        model = self._qwen.model
        cuda = [model.device] if model.device.type == "cuda" else []
        # The model samples from the process's one stream of random numbers: borrowed, and given back as it was.
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            output = model.generate(
                **inputs,
                **_sampling(model.generation_config),
                max_new_tokens=room,
                pad_token_id=self._pad_token(),
                streamer=growing,
                stopping_criteria=StoppingCriteriaList([_StopWhenCancelled(self._is_cancelled)]),
            )
        stop_if(self._is_cancelled)
        tokens = output[0, inputs["input_ids"].shape[1] :].tolist()
        self._tokens += len(tokens)
        self._seconds += time.perf_counter() - began
        finished = bool(tokens) and tokens[-1] in self._end_tokens()
        return self._qwen.tokenizer.decode(tokens, skip_special_tokens=True), finished

    def _end_tokens(self) -> set[int]:
        ends = self._qwen.model.generation_config.eos_token_id
        return {self._qwen.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}

    def _pad_token(self) -> int:
        pad = self._qwen.tokenizer.pad_token_id
        return int(self._qwen.tokenizer.eos_token_id if pad is None else pad)

    def _answer(self, verdict: Verdict, *, tries: int) -> Answer:
        device = self._qwen.model.device
        receipt = {
            "kind": self._request.kind,
            "language": self._request.language,
            "seed": self._request.seed,
            "tries": tries,
            "tokens": self._tokens,
            "tokens_per_s": round(self._tokens / self._seconds, 1) if self._seconds else None,
            "quantization": self._qwen.quantization,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "dtype": str(self._qwen.options.dtype).removeprefix("torch."),
        }
        return Answer(verdict=verdict, receipt=receipt)


class _GrowingText(BaseStreamer):
    """Reports what was written so far, at most every `interval_s`; meanwhile the run goes between two `fractions`."""

    def __init__(
        self, tokenizer: Any, report: ReportProgress, room: int, fractions: tuple[float, float], interval_s: float
    ):
        self._tokenizer = tokenizer
        self._report = report
        self._room = room
        self._begins, self._ends = fractions
        self._interval_s = interval_s
        self._tokens: list[int] = []
        self._prompt_is_next = True
        self._due = 0.0

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt's tokens first, then one new token after another."""
        if self._prompt_is_next:
            self._prompt_is_next = False
            return
        self._tokens.extend(value.flatten().tolist())
        now = time.perf_counter()
        if now >= self._due:
            self._due = now + self._interval_s
            text = tidy(self._tokenizer.decode(self._tokens, skip_special_tokens=True))
            share = min(1.0, len(self._tokens) / self._room)
            fraction = self._begins + (self._ends - self._begins) * share
            step = len(self._tokens)
            self._report(
                Progress(stage=Stage.ENHANCING, fraction=fraction, step=step, steps=self._room, text=text or None)
            )

    def end(self) -> None:
        """Nothing is held back: the whole answer is reported once it is judged."""


class _StopWhenCancelled(StoppingCriteria):
    def __init__(self, is_cancelled: IsCancelled) -> None:
        self._is_cancelled = is_cancelled

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._is_cancelled(), dtype=torch.bool, device=input_ids.device)


def _sampling(config: Any) -> dict[str, Any]:
    """As the checkpoint's own generation config says; without any sampling a second try could not differ."""
    if config.do_sample:
        return {}
    return {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P, "top_k": TOP_K}


def stop_if(is_cancelled: IsCancelled) -> None:
    """Raise Cancelled if the run is to be stopped."""
    if is_cancelled():
        raise Cancelled("The job was cancelled.")
