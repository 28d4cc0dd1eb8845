"""The composer's components: everything that an order is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.catalog import ASPECTS, MAX_GUIDANCE, MAX_STEPS, RANDOM_SEED, Catalog, JobType
from studio.orders import DEFAULT_SCHEDULER, DEFAULT_STRENGTH
from studio.ui.choices import Chosen, can_rewrite, choose, traits
from studio.ui.components.composer_views import Estimate, Notice, PromptRewriter, ReferenceTile
from studio.ui.composing import aspect_of, fitting_aspect, length_label, reference_for

LAID_OUT = (("kind",), ("quality",), ("engine", "rewrite"))
"""The axes of choice in the rows in which they stand on the screen."""
PROMPT_HINTS = {
    "image": "Say what the picture should show",
    "video": "Say what the film should show, and how it moves",
}
IDLE = {"state": "idle"}
"""The value of a PromptRewriter at rest."""
SCHEDULER_NAMES = {
    "default": "Default",
    "euler": "Euler",
    "euler_a": "Euler ancestral",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "ddim": "DDIM",
    "unipc": "UniPC",
    "lcm": "LCM",
}
MASK_BRUSH_PX = 36


@dataclass(frozen=True, kw_only=True)
class Composer:
    """The components by the name of their field, and the ones that act."""

    fields: dict[str, Any]
    picks: dict[str, gr.Radio]
    rewriter: PromptRewriter
    aspect: gr.Radio
    swap: gr.Button
    randomise: gr.Button
    last_seed: gr.Button
    reference_panel: gr.Column
    paint: gr.Button
    mask_panel: gr.Column
    mask: gr.ImageEditor
    generate: gr.Button
    estimate: Estimate
    notice: Notice

    def named(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Values that Gradio keyed by component, keyed by field."""
        return {name: values[component] for name, component in self.fields.items() if component in values}

    def picked(self, values: Mapping[Any, Any]) -> dict[str, str | None]:
        """The pick of every axis."""
        return {axis: values.get(radio) for axis, radio in self.picks.items()}

    def show_choice(self, chosen: Chosen, catalog: Catalog) -> dict[Any, Any]:
        """Updates that make the screen show `chosen`: its choices, its recipe's defaults and its limits."""
        kind, fields = chosen.job_type, self.fields
        updates: dict[Any, Any] = {
            radio: gr.update(
                choices=chosen.choices(axis), value=chosen.picks[axis], visible=len(chosen.options[axis]) > 1
            )
            for axis, radio in self.picks.items()
        }
        updates[fields["prompt"]] = gr.update(placeholder=PROMPT_HINTS.get(kind.kind))
        updates[fields["steps"]] = kind.defaults.steps
        updates[fields["guidance"]] = kind.defaults.guidance
        updates[fields["scheduler"]] = gr.update(choices=_schedulers(kind), value=DEFAULT_SCHEDULER)
        updates[fields["count"]] = gr.update(**_count_options(kind))
        updates[fields["frames"]] = gr.update(**_length_options(kind))
        return updates

    def show_fields(self, values: Mapping[str, Any], job_type: str, catalog: Catalog) -> dict[Any, Any]:
        """Updates that fill the composer with `values` by field, for the type called `job_type`."""
        known = catalog.types.get(job_type)
        chosen = choose(catalog, traits(known) if known else {})
        kind = chosen.job_type
        updates = self.show_choice(chosen, catalog)
        for name, value in values.items():
            if value is not None:
                shown = updates.get(self.fields[name])
                updates[self.fields[name]] = {**shown, "value": value} if isinstance(shown, dict) else value
        updates[self.fields["reference"]] = reference_for(kind, values.get("reference"))
        updates[self.aspect] = aspect_of(values["width"], values["height"], kind, catalog)
        return {**updates, self.notice: None, self.mask: None, self.rewriter: IDLE}


def build_composer(catalog: Catalog) -> Composer:
    """Lay out the composer for the types of `catalog`."""
    chosen = choose(catalog, {})
    fields: dict[str, Any] = {}
    fields["prompt"], rewriter = _prompt(chosen.job_type, catalog)
    with gr.Accordion("Negative prompt", open=False, elem_id="negative", elem_classes="ov-fold"):
        fields["negative_prompt"] = gr.Textbox(
            show_label=False,
            label="Negative prompt",
            placeholder="What should not be in it",
            lines=2,
            max_lines=6,
            elem_id="negative-prompt",
        )
    picks = _choices(chosen)
    aspect, swap = _shape(chosen.job_type, catalog)
    fields["count"], fields["frames"] = _amounts(chosen.job_type)
    seed, randomise, last_seed = _seed_row()
    fields["seed"] = seed
    fields["reference"] = ReferenceTile(reference_for(chosen.job_type, None), elem_id="reference")
    reference_panel, fields["strength"], paint, mask_panel, mask = _reference_panel()
    fields.update(_advanced(chosen, catalog))
    notice = Notice(None, elem_id="notice")
    with gr.Row(elem_id="generate-bar"):
        generate = gr.Button("Generate", variant="primary", elem_id="generate")
        estimate = Estimate({"job_type": chosen.job_type.name}, elem_id="estimate")
    return Composer(
        fields=fields,
        picks=picks,
        rewriter=rewriter,
        aspect=aspect,
        swap=swap,
        randomise=randomise,
        last_seed=last_seed,
        reference_panel=reference_panel,
        paint=paint,
        mask_panel=mask_panel,
        mask=mask,
        generate=generate,
        estimate=estimate,
        notice=notice,
    )


def _prompt(kind: JobType, catalog: Catalog) -> tuple[gr.Textbox, PromptRewriter]:
    with gr.Column(elem_id="prompt-box"):
        prompt = gr.Textbox(
            label="Prompt", placeholder=PROMPT_HINTS.get(kind.kind), lines=4, max_lines=12, elem_id="prompt"
        )
        rewriter = PromptRewriter(IDLE, visible=can_rewrite(catalog), elem_id="rewriter")
    return prompt, rewriter


def _choices(chosen: Chosen) -> dict[str, gr.Radio]:
    picks: dict[str, gr.Radio] = {}
    for row in LAID_OUT:
        with gr.Row(elem_classes="ov-choices"):
            picks.update((axis, _choice(axis, chosen)) for axis in row)
    return picks


def _choice(axis: str, chosen: Chosen) -> gr.Radio:
    return gr.Radio(
        choices=chosen.choices(axis),
        value=chosen.picks[axis],
        label=axis.capitalize(),
        show_label=False,
        visible=len(chosen.options[axis]) > 1,
        elem_id=f"choice-{axis}",
        elem_classes="ov-segmented",
    )


def _amounts(kind: JobType) -> tuple[gr.Slider, gr.Slider]:
    count = gr.Slider(step=1, label="Pictures", elem_id="count", elem_classes="ov-slider", **_count_options(kind))
    frames = gr.Slider(elem_id="frames", elem_classes="ov-slider", **_length_options(kind))
    return count, frames


def _count_options(kind: JobType) -> dict[str, Any]:
    return {
        "minimum": 1,
        "maximum": max(kind.max_count, 2),
        "value": kind.default_count,
        "visible": kind.max_count > 1,
    }


def _length_options(kind: JobType) -> dict[str, Any]:
    rules = kind.frames
    if rules is None:
        return {"visible": False}
    return {
        "minimum": rules.smallest,
        "maximum": rules.largest,
        "step": rules.multiple,
        "value": rules.native,
        "label": length_label(rules.native, kind),
        "visible": True,
    }


def _schedulers(kind: JobType) -> list[tuple[str, str]]:
    return [(SCHEDULER_NAMES.get(name, name), name) for name in (DEFAULT_SCHEDULER, *kind.schedulers)]


def _shape(kind: JobType, catalog: Catalog) -> tuple[gr.Radio, gr.Button]:
    with gr.Row(elem_id="shape-row", elem_classes="ov-tight"):
        aspect = gr.Radio(
            choices=[known.name for known in ASPECTS],
            value=fitting_aspect(kind, catalog),
            label="Shape",
            show_label=False,
            elem_id="aspect",
            elem_classes="ov-aspects",
        )
        swap = gr.Button("Swap width and height", size="sm", elem_id="swap", elem_classes="ov-icon-button")
    return aspect, swap


def _seed_row() -> tuple[gr.Number, gr.Button, gr.Button]:
    with gr.Row(elem_id="seed-row", elem_classes="ov-tight"):
        seed = gr.Number(value=RANDOM_SEED, precision=0, label="Seed", elem_id="seed")
        randomise = gr.Button("Random seed each time", size="sm", elem_id="seed-random", elem_classes="ov-icon-button")
        last_seed = gr.Button("Seed of the last job", size="sm", elem_id="seed-last", elem_classes="ov-icon-button")
    return seed, randomise, last_seed


def _reference_panel() -> tuple[gr.Column, gr.Slider, gr.Button, gr.Column, gr.ImageEditor]:
    with gr.Column(visible=False, elem_id="reference-panel") as panel:
        strength = gr.Slider(
            0.05,
            1.0,
            value=DEFAULT_STRENGTH,
            step=0.05,
            label="Denoising strength",
            info="Low keeps the reference, high redraws it",
            elem_id="strength",
            elem_classes="ov-slider",
        )
        paint = gr.Button("Paint over what should change", size="sm", elem_id="paint")
        with gr.Column(visible=False, elem_id="mask-panel") as mask_panel:
            mask = gr.ImageEditor(
                type="pil",
                label="Mask: paint over what should change",
                show_label=False,
                sources=(),
                transforms=(),
                layers=False,
                buttons=[],
                brush=gr.Brush(
                    default_size=MASK_BRUSH_PX, colors=["#a78bfa"], default_color="#a78bfa", color_mode="fixed"
                ),
                format="png",
                height=340,
                elem_id="mask",
            )
    return panel, strength, paint, mask_panel, mask


def _advanced(chosen: Chosen, catalog: Catalog) -> dict[str, Any]:
    kind, rules = chosen.job_type, catalog.rules(chosen.job_type)
    side: dict[str, Any] = {"precision": 0, "step": rules.multiple, "min_width": 100}
    with gr.Accordion("Advanced", open=False, elem_id="advanced", elem_classes="ov-fold"):
        with gr.Row(elem_classes="ov-pair"):
            width = gr.Number(rules.width, label="Width, px", elem_id="width", **side)
            height = gr.Number(rules.height, label="Height, px", elem_id="height", **side)
        steps = gr.Slider(
            1, MAX_STEPS, value=kind.defaults.steps, step=1, label="Steps", elem_id="steps", elem_classes="ov-slider"
        )
        guidance = gr.Slider(
            0,
            MAX_GUIDANCE,
            value=kind.defaults.guidance,
            step=0.1,
            label="Guidance scale",
            elem_id="guidance",
            elem_classes="ov-slider",
        )
        scheduler = gr.Dropdown(
            choices=_schedulers(kind),
            value=DEFAULT_SCHEDULER,
            label="Scheduler",
            filterable=False,
            elem_id="scheduler",
        )
    return {"width": width, "height": height, "steps": steps, "guidance": guidance, "scheduler": scheduler}
