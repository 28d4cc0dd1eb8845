"""The ✨ in the prompt's corner: the prompt is rewritten before one's eyes, and can be had back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import gradio as gr

from studio.ui.choices import choose
from studio.ui.speaking import notice_of, person_of, tell_page
from studio.ui.tabs.composer import IDLE, Composer

if TYPE_CHECKING:
    from studio.services.container import Services
    from studio.services.enhancing import Rewriting

REWRITERS = 4
"""People who watch their prompt being rewritten at once. Text that streams needs Gradio's queue, and each such event
one of its 40 slots, of which followers and other calls fill up to 28; whoever comes fifth waits, for seconds."""
SHOWN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def wire_rewriting(composer: Composer, services: Services) -> None:
    """Let the composer's rewriter fill the prompt, stop half-way and go back."""
    prompt, rewriter, notice = composer.fields["prompt"], composer.rewriter, composer.notice
    # By Gradio's session. Its own way to cancel an event lets words that are under way arrive after the answer to the
    # cancelling; here the words and the going back come in one stream, in order.
    stops: dict[str | None, asyncio.Event] = {}

    async def rewrite(values: dict[Any, Any], request: gr.Request) -> AsyncGenerator[dict[Any, Any]]:
        original = values[prompt] or ""
        kind = choose(services.catalog, composer.picked(values)).job_type.kind
        stopped = stops[request.session_hash] = asyncio.Event()
        last = {prompt: original, rewriter: IDLE}
        try:
            person = person_of(services, request)
            yield {rewriter: {"state": "working", "original": original}, notice: None}
            async with aclosing(until(stopped, services.enhancing.stream(person, original, kind))) as growing:
                async for rewriting in growing:
                    if rewriting.done:
                        last = {prompt: rewriting.text, rewriter: _outcome(original, rewriting.text, rewriting.note)}
                    elif rewriting.text:
                        yield {prompt: rewriting.text}
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            last[notice] = notice_of(error)
        finally:
            stops.pop(request.session_hash, None)
        yield last

    def stop(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        running = stops.get(request.session_hash)
        if running is None:  # nothing runs any more, whatever the page still shows
            return give_back(event)
        running.set()
        return {rewriter: gr.skip()}

    def give_back(event: gr.EventData) -> dict[Any, Any]:
        return {prompt: str(event._data["original"]), rewriter: IDLE}

    rewriting = rewriter.rewrite(
        rewrite,
        {prompt, *composer.picks.values()},
        [prompt, rewriter, notice],
        preprocess=False,  # as FOLLOWS of the workspace: a pick may still be on its way
        concurrency_id="rewriting",
        concurrency_limit=REWRITERS,
        **SHOWN,
    )
    rewriting.failure(None, js=tell_page("ov:failed"), queue=False, **SHOWN)
    rewriter.stop(stop, outputs=[prompt, rewriter], queue=False, **SHOWN)
    rewriter.undo(give_back, outputs=[prompt, rewriter], queue=False, **SHOWN)


async def until(stopped: asyncio.Event, source: AsyncGenerator[Rewriting]) -> AsyncGenerator[Rewriting]:
    """What `source` yields, until it ends or `stopped` is set; then `source` is closed, wherever it stands."""
    halt = asyncio.create_task(stopped.wait())
    step: asyncio.Task[Rewriting | None] | None = None

    async def following() -> Rewriting | None:
        return await anext(source, None)

    try:
        while True:
            step = asyncio.create_task(following())
            await asyncio.wait({step, halt}, return_when=asyncio.FIRST_COMPLETED)
            if halt.done():
                return
            rewriting = step.result()
            if rewriting is None:
                return
            yield rewriting
    finally:
        for task in (step, halt):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await source.aclose()


def _outcome(original: str, text: str, note: str | None) -> dict[str, Any]:
    """The rewriter's value afterwards: there is nothing to go back to where nothing changed."""
    if text == original:
        return {**IDLE, "note": note}
    return {"state": "done", "original": original, "note": note}
