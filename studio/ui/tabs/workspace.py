"""The workspace: the composer on the left, the feed of strips on the right."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from studio.catalog import RANDOM_SEED
from studio.errors import NotFound
from studio.ui.choices import choose
from studio.ui.components.job_feed import JobFeed
from studio.ui.components.json_view import JsonView
from studio.ui.composing import (
    WORK_FIELDS,
    aspect_of,
    fields_from,
    mask_png,
    order_from,
    reference_id,
    size_of,
    work_from,
)
from studio.ui.speaking import notice_of, off_loop, person_of
from studio.ui.tabs.composer import Composer, build_composer

if TYPE_CHECKING:
    from studio.services.container import Services

MASK_CANVAS_PX = 1024
"""Longest side of the picture under the mask's brush: the pipeline scales the mask to the job's size."""
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Of every handler of the screens: beside the queue, so that a click never waits behind a job."""


def build_workspace(services: Services) -> Composer:
    """Lay out the workspace, wire its events and return the composer."""
    with gr.Row(elem_id="workspace"):
        with gr.Column(elem_id="composer"):
            composer = build_composer(services.catalog)
        with gr.Column(elem_id="feed"):
            feed = JobFeed(None, elem_id="job-feed")
    _wire_generate(composer, feed, services)
    _wire_choices(composer, services)
    _wire_shape(composer, services)
    _wire_estimate(composer, services)
    _wire_seed(composer, services)
    _wire_reference(composer, services)
    feed.example(_take_example, outputs=[composer.fields["prompt"]], **QUIET)
    wire_reuse(composer, services, feed)
    return composer


def wire_reuse(composer: Composer, services: Services, *views: JsonView) -> None:
    """Let `views` fill the composer from a job of theirs."""
    outputs = [*_shown(composer), composer.aspect, composer.mask, composer.notice]
    outputs += [component for component in composer.fields.values() if component not in outputs]

    async def reuse(event: gr.EventData, request: gr.Request) -> dict[Any, Any]:
        try:
            wanted = event._data
            job = await off_loop(services.jobs.get, person_of(services, request), str(wanted["job_id"]))
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            return {composer.notice: notice_of(error)}
        fields = fields_from(job, seed=wanted.get("seed"))
        return composer.show_fields(fields, job["type"], services.catalog)

    for view in views:
        view.reuse(reuse, outputs=outputs, **QUIET)


def _take_example(event: gr.EventData) -> str:
    return str(event._data["prompt"])


def _wire_generate(composer: Composer, feed: JobFeed, services: Services) -> None:
    inputs = {*composer.fields.values(), *composer.picks.values(), composer.mask}

    async def generate(values: dict[Any, Any], request: gr.Request) -> dict[Any, Any]:
        try:
            job = await off_loop(_submit, services, request, composer, values)
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            return {composer.notice: notice_of(error)}
        return {feed: job, composer.notice: None}

    composer.generate.click(generate, inputs, [feed, composer.notice], trigger_mode="multiple", **QUIET)


def _submit(services: Services, request: gr.Request, composer: Composer, values: dict[Any, Any]) -> dict[str, Any]:
    person = person_of(services, request)
    chosen = choose(services.catalog, composer.picked(values))
    fields = composer.named(values)
    painted = mask_png((values.get(composer.mask) or {}).get("layers")) if reference_id(fields["reference"]) else None
    order = order_from(fields, chosen.job_type.name)
    if painted is not None:
        order = order.model_copy(update={"mask": services.uploads.accept(person, painted, mask=True)["id"]})
    return dict(services.jobs.submit(person, order))


def _shown(composer: Composer) -> list[Any]:
    """What follows from the choice of the job type."""
    recipe = [composer.fields[name] for name in ("steps", "guidance", "scheduler", "count")]
    return [*composer.picks.values(), *recipe]


def _wire_choices(composer: Composer, services: Services) -> None:
    sides = [composer.fields["width"], composer.fields["height"]]

    def change(values: dict[Any, Any]) -> dict[Any, Any]:
        chosen = choose(services.catalog, composer.picked(values))
        updates = composer.show_choice(chosen, services.catalog)
        size = size_of(values[composer.aspect], chosen.job_type, services.catalog)
        return updates if size is None else {**updates, sides[0]: size[0], sides[1]: size[1]}

    for radio in composer.picks.values():
        radio.input(change, {*composer.picks.values(), composer.aspect}, [*_shown(composer), *sides], **QUIET)


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
    composer.aspect.input(follow_aspect, inputs, [width, height], **QUIET)
    composer.swap.click(swap, inputs, [width, height, composer.aspect], **QUIET)
    for side in (width, height):
        side.input(follow_sides, inputs, [composer.aspect], **QUIET)


def _wire_estimate(composer: Composer, services: Services) -> None:
    """Ask anew whenever what decides the run time changes, by hand or by another handler."""
    asked = [*composer.picks.values(), *(composer.fields[name] for name in WORK_FIELDS)]

    def ask(values: dict[Any, Any]) -> dict[str, Any] | None:
        job_type = choose(services.catalog, composer.picked(values)).job_type.name
        return work_from(composer.named(values), job_type, services.catalog)

    # Dragging a slider asks once more at its end, not at every step on the way. Values come as they are: Gradio's own
    # check of a slider would raise an error before the last digit is typed.
    changes = [component.change for component in asked]
    how: dict[str, Any] = {"trigger_mode": "always_last", "preprocess": False, **QUIET}
    gr.on(changes, ask, set(asked), [composer.estimate], **how)


def _wire_seed(composer: Composer, services: Services) -> None:
    seed = composer.fields["seed"]

    def last_seed(request: gr.Request) -> Any:
        newest = services.jobs.list(person_of(services, request), limit=1)["items"]
        return newest[0]["config"]["seed"] if newest else gr.skip()

    composer.randomise.click(lambda: RANDOM_SEED, outputs=[seed], **QUIET)
    composer.last_seed.click(last_seed, outputs=[seed], **QUIET)


def _wire_reference(composer: Composer, services: Services) -> None:
    reference = composer.fields["reference"]

    def follow(value: Any) -> dict[Any, Any]:
        return {
            composer.reference_panel: gr.update(visible=reference_id(value) is not None),
            composer.mask_panel: gr.update(visible=False),
            composer.mask: None,
        }

    async def paint(value: Any, request: gr.Request) -> dict[Any, Any]:
        try:
            picture = await off_loop(_picture, services, request, reference_id(value))
        except Exception as error:  # the edge: every failure becomes words, an unexpected one is logged in full
            return {composer.notice: notice_of(error)}
        layers = {"background": picture, "layers": [], "composite": None}
        return {composer.mask: layers, composer.mask_panel: gr.update(visible=True), composer.notice: None}

    panels = [composer.reference_panel, composer.mask_panel, composer.mask]
    reference.change(follow, [reference], panels, **QUIET)
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
