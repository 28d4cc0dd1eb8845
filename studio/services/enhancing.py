"""Rewriting prompts: what the model is asked, what of its answer may be used, and doing it for a person who waits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from pipelines.contract import Progress, RewriteRequest, RewriteResult, Stage
from queue_backend.errors import RunError
from studio.catalog import MAX_PROMPT_CHARS
from studio.database.schema import new_id
from studio.errors import InvalidInput, ModelUnavailable, PolicyRefused, RateLimited, Unavailable
from studio.people import Person, require_scope

if TYPE_CHECKING:
    from studio.services.limits import Limits
    from studio.services.planned_runs import PlannedRuns
    from studio.services.policy import ContentPolicy
    from studio.services.usage import UsageService

log = logging.getLogger(__name__)

KINDS = ("image", "video")
MAX_AT_ONCE = 20
"""Prompts that people wait for at the same time; the lane writes one after the other, in seconds each."""
MAX_EACH = 3
"""Of these, one person's."""
BUSY_RETRY_S = 10.0
REFUSED_NOTE = "The prompt was used as written: the content policy does not allow what the rewriting made of it."


class PromptRewriting:
    """What a rewriting is asked for, and what is made of its answer. `language` is "en" or "zh"."""

    def __init__(self, policy: ContentPolicy, language: str) -> None:
        self._policy = policy
        self._language = language

    def request(self, job_id: str, prompt: str, kind: str) -> RewriteRequest:
        """What the worker is asked. `kind` is "image" or "video". The seed is always the same, so that a prompt has one
        rewriting: the one that its person saw before ordering, and the one that the worker's cache has."""
        return RewriteRequest(job_id=job_id, prompt=prompt, kind=kind, language=self._language)

    def settle(self, result: RewriteResult, prompt: str, negative_prompt: str = "") -> tuple[str | None, str | None]:
        """The rewritten prompt that may be used, if any, and a note for the person if there is none."""
        if result.prompt is None:
            return None, result.note
        try:
            self._policy.check(prompt, negative_prompt, result.prompt[:MAX_PROMPT_CHARS])
        except PolicyRefused:
            return None, REFUSED_NOTE
        return result.prompt[:MAX_PROMPT_CHARS], result.note

    def check(self, prompt: str) -> None:
        """Raises PolicyRefused where `prompt` may not be used at all."""
        self._policy.check(prompt)


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """A rewriting as it grows. When `done`, `text` is what to use: the prompt as it was, and a `note`, where the answer
    was unusable."""

    text: str
    done: bool = False
    note: str | None = None
    usable: bool = True


class EnhancingService:
    """Rewrites prompts for people who wait for it, on the workers that do the same for jobs."""

    def __init__(self, runs: PlannedRuns, rewriting: PromptRewriting, limits: Limits, usage: UsageService) -> None:
        self._runs = runs
        self._rewriting = rewriting
        self._limits = limits
        self._usage = usage
        self._waiting: Counter[str] = Counter()

    async def enhance(self, person: Person, prompt: str, kind: str) -> dict[str, Any]:
        """{"prompt", "enhanced_prompt", "note"}: `enhanced_prompt` is None where the answer was unusable, and `note`
        says why. Raises as `stream` does."""
        async with aclosing(self.stream(person, prompt, kind)) as growing:
            last = [rewriting async for rewriting in growing][-1]
        return {"prompt": prompt, "enhanced_prompt": last.text if last.usable else None, "note": last.note}

    async def stream(self, person: Person, prompt: str, kind: str) -> AsyncGenerator[Rewriting]:
        """The rewriting of `prompt` for a `kind` ("image" or "video"), as it grows. Closing it stops the worker.

        Raises InvalidInput, PolicyRefused, RateLimited when too many wait, RateLimited or QuotaExceeded where the
        person has as much as they may, ModelUnavailable or Unavailable.
        """
        require_scope(person, "generate")
        _check(prompt, kind)
        self._rewriting.check(prompt)
        self._check_busy(person)
        self._waiting[person.id] += 1
        try:
            await asyncio.to_thread(self._limits.check_rewriting, person)
            async with aclosing(self._run(person, prompt, kind)) as growing:
                async for rewriting in growing:
                    yield rewriting
        finally:
            self._waiting -= Counter([person.id])  # which forgets who waits for none

    def _check_busy(self, person: Person) -> None:
        if self._waiting[person.id] >= MAX_EACH:
            raise RateLimited(
                f"{MAX_EACH} prompts of yours are being rewritten. Try again when one of them is done.",
                retry_after_s=BUSY_RETRY_S,
            )
        if self._waiting.total() >= MAX_AT_ONCE:
            raise RateLimited("Many prompts are being rewritten right now. Try again soon.", retry_after_s=BUSY_RETRY_S)

    async def _run(self, person: Person, prompt: str, kind: str) -> AsyncGenerator[Rewriting]:
        run_id = new_id()
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        begun_s: list[float] = []

        async def take(progress: Progress) -> None:
            if not begun_s:  # from the first word of a worker on it is busy; before, the run waited for one
                begun_s.append(time.monotonic())
            if progress.text is not None and progress.stage is Stage.ENHANCING:
                texts.put_nowait(progress.text)

        request = self._rewriting.request(run_id, prompt, kind)
        run = asyncio.create_task(self._runs.rewrite(run_id, request, on_progress=take), name="rewriting")
        run.add_done_callback(lambda _: texts.put_nowait(None))
        try:
            while (text := await texts.get()) is not None:
                yield Rewriting(text=text)
            yield self._settled(await run, prompt)
        except RunError as error:
            log.error("Rewriting %s for %s failed: %s", run_id, person.id, error, exc_info=error)
            raise _public(error) from error
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError, RunError):
                await run
            if begun_s:
                await self._note(person, time.monotonic() - begun_s[0], run)

    async def _note(self, person: Person, seconds: float, run: asyncio.Task[RewriteResult]) -> None:
        outcome = "cancelled" if run.cancelled() else "failed" if run.exception() else "completed"
        try:
            await asyncio.to_thread(self._usage.note_rewriting, person, seconds, outcome)
        except SQLAlchemyError:
            log.exception("A rewriting of %s could not be written to the GPU ledger.", person.id)

    def _settled(self, result: RewriteResult, prompt: str) -> Rewriting:
        enhanced, note = self._rewriting.settle(result, prompt)
        return Rewriting(text=enhanced or prompt, done=True, note=note, usable=enhanced is not None)


def _check(prompt: str, kind: str) -> None:
    if not prompt.strip():
        raise InvalidInput("Write a prompt first: a few words are enough.", field="prompt")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidInput(f"A prompt has at most {MAX_PROMPT_CHARS} characters.", field="prompt")
    if "\x00" in prompt:
        raise InvalidInput("The text contains a character that cannot be stored (NUL).", field="prompt")
    if kind not in KINDS:
        raise InvalidInput(f"kind is one of: {', '.join(KINDS)}.", field="kind")


def _public(error: RunError) -> ModelUnavailable | Unavailable:
    if error.code == "model_missing":
        return ModelUnavailable(error.message)
    if error.code in {"worker_lost", "out_of_memory"}:
        return Unavailable(f"{error.message} Your prompt is as you wrote it; try again.")
    return Unavailable("The prompt could not be rewritten. It is as you wrote it; try again.")
