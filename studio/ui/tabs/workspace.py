"""The workspace: the composer on the left, the feed of strips on the right."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from studio.catalog import RANDOM_SEED
from studio.errors import InvalidInput, NotFound
from studio.ui.choices import Chosen, choose
from studio.ui.components.job_feed import JobFeed
from studio.ui.components.json_view import JsonView
from studio.ui.composing import (
    WORK_FIELDS,
    aspect_of,
    check_reference,
    fields_from,
    fitting_aspect,
    length_label,
    mask_png,
    order_from,
    reference_for,
    reference_id,
    size_of,
    work_from,
)
from studio.ui.speaking import notice_of, off_loop, person_of, tell_page
from studio.ui.tabs.composer import IDLE, Composer, build_composer
from studio.ui.tabs.rewriting import wire_rewriting

if TYPE_CHECKING:
    from studio.people import Person
    from studio.services.container import Services

MASK_CANVAS_PX = 1024
"""Longest side of the picture under the mask's brush: the pipeline scales the mask to the job's size."""
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Of every handler of the screens: beside the queue, so that a click never waits behind a job."""
FOLLOWS: dict[str, Any] = {**QUIET, "preprocess": False}
"""Of handlers that may run while another's changes are still on their way to the browser. Values come as they are:
Gradio's own checks would refuse an engine that the pick of another kind has just ruled out."""


def build_workspace(services: Services) -> Composer:
    """Lay out the workspace, wire its events and return the composer."""
    with gr.Row(elem_id="workspace"):
        with gr.Column(elem_id="composer"):
            composer = build_composer(services.catalog)
        with gr.Column(elem_id="feed"):
            feed = JobFeed(None, elem_id="job-feed")
    _wire_generate(composer, feed, services)
    wire_rewriting(composer, services)
    _wire_choices(composer, feed, services)
    _wire_shape(composer, services)
    _wire_estimate(composer, services)
    _wire_seed(composer, services)
    _wire_reference(composer, services)
    wire_reuse(composer, services, feed)
    return composer


def wire_reuse(composer: Composer, services: Services, *views: JsonView) -> None:
    """Let `views` fill the composer from a job of theirs."""
    outputs = [*_shown(composer), composer.mask, composer.notice, composer.rewriter]
    outputs += [component for component in composer.fields.values() if component not in outputs]

    async def reuse(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        try:
            wanted = event._data
            person = person_of(services, request)
            job = await off_loop(services.jobs.get, person, str(wanted["job_id"]))
            fields = fields_from(job, seed=wanted.get("seed"))
            if fields["reference"]:
                fields["reference"] = await off_loop(_known_reference, services, person, fields["reference"])
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            return {composer.notice: notice_of(error)}
        return composer.show_fields(fields, job["type"], services.catalog)

    for view in views:
        _fill(view.reuse, reuse, None, outputs)


def _fill(event: Callable[..., Any], handler: Callable[..., Any], inputs: set[Any] | None, outputs: list[Any]) -> None:
    """Let `handler` fill the composer on `event`. `generate.js` is told, and holds a press of Generate back until the
    composer is full: of a composer that is half filled an order would be half of one recipe and half of another."""
    filling = event(handler, inputs, outputs, js=tell_page("ov:filling"), **FOLLOWS)
    filling.success(None, js=tell_page("ov:filled"), **QUIET)
    filling.failure(None, js=tell_page("ov:unfilled"), **QUIET)


def _known_reference(services: Services, person: Person, reference: dict[str, Any]) -> dict[str, Any]:
    """The reference with its kind. What is no asset of the person's library is a picture that they brought."""
    try:
        return {**reference, "kind": services.library.get(person, reference["id"])["kind"]}
    except NotFound:
        return {**reference, "kind": "image"}


def _wire_generate(composer: Composer, feed: JobFeed, services: Services) -> None:
    inputs = {*composer.fields.values(), *composer.picks.values(), composer.mask}

    async def generate(values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        try:
            job = await off_loop(_submit, services, request, composer, values)
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            return {composer.notice: notice_of(error)}
        return {feed: job, composer.notice: None}

    ordering = composer.generate.click(generate, inputs, [feed, composer.notice], trigger_mode="multiple", **QUIET)
    ordering.failure(None, js=tell_page("ov:failed"), **QUIET)


def _submit(services: Services, request: gr.Request, composer: Composer, values: dict[Any, Any]) -> dict[str, Any]:
    person = person_of(services, request)
    chosen = choose(services.catalog, composer.picked(values))
    fields = composer.named(values)
    painted = mask_png((values.get(composer.mask) or {}).get("layers")) if reference_id(fields["reference"]) else None
    order = order_from(fields, chosen.job_type)
    if painted is not None and chosen.job_type.takes_mask:
        order = order.model_copy(update={"mask": services.uploads.accept(person, painted, mask=True)["id"]})
    return dict(services.jobs.submit(person, order))


def _shown(composer: Composer) -> list[Any]:
    """What follows from the choice of the job type."""
    following = ("prompt", "steps", "guidance", "scheduler", "count", "frames", "width", "height", "reference")
    return [*composer.picks.values(), *(composer.fields[name] for name in following), composer.aspect]


def _wire_choices(composer: Composer, feed: JobFeed, services: Services) -> None:
    catalog, reference = services.catalog, composer.fields["reference"]
    inputs = {*composer.picks.values(), composer.aspect, reference}

    def show(chosen: Chosen, aspect: str | None, values: dict[Any, Any]) -> dict[Any, Any]:
        updates = composer.show_choice(chosen, catalog)
        size = size_of(aspect, chosen.job_type, catalog)
        if size is not None:
            updates |= {composer.aspect: aspect}
            updates |= {composer.fields["width"]: size[0], composer.fields["height"]: size[1]}
        started_from = reference_for(chosen.job_type, values[reference])
        return updates if started_from == values[reference] else {**updates, reference: started_from}

    def change(values: dict[Any, Any]) -> dict[Any, Any]:
        return show(choose(catalog, composer.picked(values)), values[composer.aspect], values)

    def change_kind(values: dict[Any, Any]) -> dict[Any, Any]:
        # What nobody chose does not stick: an engine that was the only one for films, a shape that was merely usual.
        picks = composer.picked(values)
        others = [choose(catalog, {**picks, "kind": kind}) for kind in choose(catalog, picks).options["kind"]]
        others = [other for other in others if other.picks["kind"] != picks["kind"]]
        free = {axis: pick for axis, pick in picks.items() if any(len(other.options[axis]) > 1 for other in others)}
        chosen = choose(catalog, {**free, "kind": picks["kind"]})
        aspect = values[composer.aspect]
        if aspect is None or aspect in {fitting_aspect(other.job_type, catalog) for other in others}:
            aspect = fitting_aspect(chosen.job_type, catalog)
        return show(chosen, aspect, values)

    def take_example(values: dict[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        wanted = event._data
        chosen = choose(catalog, {**composer.picked(values), "kind": wanted.get("kind", "image")})
        updates = show(chosen, fitting_aspect(chosen.job_type, catalog), values)
        prompt = composer.fields["prompt"]
        return {**updates, prompt: {**updates[prompt], "value": str(wanted["prompt"])}, composer.rewriter: IDLE}

    for axis, radio in composer.picks.items():
        _fill(radio.input, change_kind if axis == "kind" else change, inputs, _shown(composer))
    _fill(feed.example, take_example, inputs, [*_shown(composer), composer.rewriter])
    _wire_length(composer, services)


def _wire_length(composer: Composer, services: Services) -> None:
    frames = composer.fields["frames"]

    def say(values: dict[Any, Any]) -> dict[str, Any]:
        kind = choose(services.catalog, composer.picked(values)).job_type
        return gr.update(label=length_label(values[frames], kind))

    frames.change(say, {frames, *composer.picks.values()}, [frames], trigger_mode="always_last", **FOLLOWS)


def _wire_shape(composer: Composer, services: Services) -> None:
    width, height = composer.fields["width"], composer.fields["height"]

    def follow_aspect(values: dict[Any, Any]) -> dict[Any, Any]:
        kind = choose(services.catalog, composer.picked(values)).job_type
        size = size_of(values[composer.aspect], kind, services.catalog)
        return {} if size is None else {width: size[0], height: size[1]}

    def follow_sides(values: dict[Any, Any]) -> str | None:
        kind = choose(services.catalog, composer.picked(values)).job_type
        return aspect_of(values[width], values[height], kind, services.catalog)

    def swap(values: dict[Any, Any]) -> dict[Any, Any]:
        turned = {width: values[height], height: values[width]}
        return {**turned, composer.aspect: follow_sides({**values, **turned})}

    inputs = {width, height, composer.aspect, *composer.picks.values()}
    composer.aspect.input(follow_aspect, inputs, [width, height], **FOLLOWS)
    composer.swap.click(swap, inputs, [width, height, composer.aspect], **FOLLOWS)
    for side in (width, height):
        side.input(follow_sides, inputs, [composer.aspect], **FOLLOWS)


def _wire_estimate(composer: Composer, services: Services) -> None:
    """Ask anew whenever what decides the run time changes, by hand or by another handler."""
    asked = [*composer.picks.values(), *(composer.fields[name] for name in WORK_FIELDS)]

    def ask(values: dict[Any, Any]) -> dict[str, Any] | None:
        kind = choose(services.catalog, composer.picked(values)).job_type
        return work_from(composer.named(values), kind, services.catalog)

    # Dragging a slider asks once more at its end, not at every step on the way; and a number may be half typed.
    changes = [component.change for component in asked]
    gr.on(changes, ask, set(asked), [composer.estimate], trigger_mode="always_last", **FOLLOWS)


def _wire_seed(composer: Composer, services: Services) -> None:
    seed = composer.fields["seed"]

    def last_seed(request: gr.Request) -> Any:
        newest = services.jobs.list(person_of(services, request), limit=1)["items"]
        return newest[0]["config"]["seed"] if newest else gr.skip()

    composer.randomise.click(lambda: RANDOM_SEED, outputs=[seed], **QUIET)
    composer.last_seed.click(last_seed, outputs=[seed], **QUIET)


def _wire_reference(composer: Composer, services: Services) -> None:
    reference = composer.fields["reference"]

    def follow(values: dict[Any, Any]) -> dict[Any, Any]:
        kind, value = choose(services.catalog, composer.picked(values)).job_type, values[reference]
        paintable = kind.takes_mask and (value or {}).get("kind") != "video"
        updates = {
            composer.reference_panel: gr.update(visible=reference_id(value) is not None),
            composer.paint: gr.update(visible=paintable),
            composer.mask_panel: gr.update(visible=False),
            composer.mask: None,
        }
        try:
            check_reference(kind, value)
        except InvalidInput as error:
            return {**updates, composer.notice: notice_of(error)}
        return {**updates, composer.notice: None}

    async def paint(value: Any, request: gr.Request) -> dict[Any, Any]:
        try:
            picture = await off_loop(_picture, services, request, reference_id(value))
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            return {composer.notice: notice_of(error)}
        layers = {"background": picture, "layers": [], "composite": None}
        return {composer.mask: layers, composer.mask_panel: gr.update(visible=True), composer.notice: None}

    panels = [composer.reference_panel, composer.paint, composer.mask_panel, composer.mask, composer.notice]
    reference.change(follow, {reference, *composer.picks.values()}, panels, **FOLLOWS)
    composer.paint.click(paint, [reference], [composer.mask, composer.mask_panel, composer.notice], **QUIET)


def _picture(services: Services, request: gr.Request, reference: str | None) -> Image.Image:
    """The reference picture of this person, small enough to paint on."""
    if reference is None:
        raise NotFound("There is no reference picture to paint on.")
    person = person_of(services, request)
    with tempfile.TemporaryDirectory() as scratch:
        with Image.open(services.uploads.path_for(person.id, reference, Path(scratch))) as picture:
            small = picture.convert("RGB")
        small.thumbnail((MASK_CANVAS_PX, MASK_CANVAS_PX))
    return small
