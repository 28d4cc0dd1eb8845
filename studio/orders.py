"""What a person asks for, and the checked form of it that is kept with the job.

Every door (browser, gradio_client, REST, MCP) ends in `Order`; `settle` turns it into a `JobConfig` or raises
InvalidInput with a sentence and the name of the field.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines import recipes
from studio.catalog import (
    MAX_GUIDANCE,
    MAX_PROMPT_CHARS,
    MAX_SEED,
    MAX_STEPS,
    RANDOM_SEED,
    Catalog,
    JobType,
    PixelRules,
)
from studio.errors import InvalidInput

NUL = "\x00"
"""Neither PostgreSQL's text nor a PNG's text chunks can hold it."""
DEFAULT_JOB_TYPE = "sdxl_image_fast"
DEFAULT_STRENGTH = recipes.DEFAULT_STRENGTH
SMALLEST_COST = 0.1
"""Least part of a type's expected run time that any job costs: text encoding, files and upkeep do not shrink."""
MAX_URL_CHARS = 2000
DEFAULT_SCHEDULER = "default"
"""In an order: the one of the checkpoint's recipe."""
BEGINNINGS = {"text": "a prompt alone", "image": "a picture", "video": "a film"}
CAN_START_FROM_ANYTHING = "Wan-AI/Wan2.1-VACE-1.3B-diffusers"


class Order(BaseModel):
    """One request as a client writes it. `None` means the job type's default; `image` and `mask` are the ids of an
    upload or an asset of the person, for films `image` may be a film of theirs; `project` the id of a project;
    `frames` the length of a film; `webhook_url` is told when the job has ended."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARS, description="what it should show")
    job_type: str = Field(DEFAULT_JOB_TYPE, description="one of GET /api/job-types")
    negative_prompt: str = Field("", max_length=MAX_PROMPT_CHARS, description="what it should not show")
    width: int | None = Field(None, description="pixels, as the type's checkpoint can make them")
    height: int | None = Field(None, description="pixels, as the type's checkpoint can make them")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    guidance: float | None = Field(None, ge=0, le=MAX_GUIDANCE, allow_inf_nan=False, description="guidance scale")
    seed: int = Field(RANDOM_SEED, ge=RANDOM_SEED, le=MAX_SEED, description="-1 for a new one")
    count: int | None = Field(None, ge=1, description="pictures of one job")
    scheduler: str | None = None
    image: str | None = Field(None, max_length=64, description="id of an upload or asset to start from")
    mask: str | None = Field(None, max_length=64, description="id of an upload or asset: white is repainted")
    strength: float | None = Field(None, gt=0, le=1, allow_inf_nan=False, description="how much is redrawn")
    frames: int | None = Field(None, ge=1, description="length of a film")
    project: str | None = Field(None, max_length=64, description="id of a project to put it in")
    webhook_url: str | None = Field(None, min_length=1, max_length=MAX_URL_CHARS)

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> Order:
        """An order from a client's fields. Raises InvalidInput for the first thing wrong with it."""
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            name = ".".join(str(part) for part in first["loc"]) or None
            raise InvalidInput(_sentence(first["type"], name or "the order", first["msg"]), field=name) from error


class JobConfig(BaseModel):
    """The settings a job runs with, every default filled in: kept with the job and copied to its assets. `frames` and
    `fps` are None for pictures; `again_of` is the asset that the job makes again, where it does."""

    model_config = ConfigDict(frozen=True)

    width: int
    height: int
    steps: int
    guidance: float
    seed: int
    count: int
    scheduler: str
    image: str | None = None
    mask: str | None = None
    strength: float | None = None
    frames: int | None = None
    fps: float | None = None
    again_of: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed a picture, counting up from `seed` and wrapping at 2³²."""
        return tuple((self.seed + index) % (MAX_SEED + 1) for index in range(self.count))


def settle(order: Order, catalog: Catalog) -> tuple[JobType, JobConfig]:
    """Check `order` against the catalog and fill in every default. Raises InvalidInput."""
    kind = catalog.types.get(order.job_type)
    if kind is None:
        known = ", ".join(catalog.types)
        raise InvalidInput(f"There is no job type {order.job_type[:60]!r}. Choose one of: {known}.", field="job_type")
    for field, text in (("prompt", order.prompt), ("negative_prompt", order.negative_prompt)):
        if NUL in text:
            raise InvalidInput("The text contains a character that cannot be stored (NUL).", field=field)
    if not order.prompt.strip():
        raise InvalidInput("Write a prompt: say what the picture should show.", field="prompt")
    count = kind.default_count if order.count is None else order.count
    if count > kind.max_count:
        raise InvalidInput(f"At most {kind.max_count} at once for {kind.name}; {count} were asked.", field="count")
    if order.scheduler not in (None, DEFAULT_SCHEDULER, *kind.schedulers):
        known = ", ".join((DEFAULT_SCHEDULER, *kind.schedulers))
        raise InvalidInput(f"Unknown scheduler for {kind.name}. Choose one of: {known}.", field="scheduler")
    if order.mask is not None and order.image is None:
        raise InvalidInput("A mask needs the image it belongs to.", field="mask")
    if order.mask is not None and not kind.takes_mask:
        raise InvalidInput(
            f"{kind.engine.upper()} cannot repaint a part. Take the mask out, or use SDXL.", field="mask"
        )
    width, height = _size(order, kind, catalog)
    scheduler = order.scheduler if order.scheduler not in (None, DEFAULT_SCHEDULER) else kind.defaults.scheduler
    return kind, JobConfig(
        width=width,
        height=height,
        steps=order.steps if order.steps is not None else kind.defaults.steps,
        guidance=order.guidance if order.guidance is not None else kind.defaults.guidance,
        seed=order.seed if order.seed != RANDOM_SEED else secrets.randbelow(MAX_SEED + 1),
        count=count,
        scheduler=scheduler,
        image=order.image,
        mask=order.mask,
        strength=_strength(order),
        frames=_frames(order.frames, kind),
        fps=kind.frames.fps if kind.frames else None,
    )


def cost_s(kind: JobType, config: JobConfig, rules: PixelRules, lane: str | None = None) -> float:
    """Seconds that a job with `config` is expected to run in `lane` (its first one by default) before anything is
    learned: the cost of that leg in the fair queue. Making pictures takes the type's expected run time, scaled by
    pictures x frames x steps x pixels relative to the type's defaults; rewriting takes the same for every prompt."""
    if (lane or kind.lanes[0]) != kind.engine:
        return kind.rewriting_s
    usual = kind.default_count * kind.defaults.steps * rules.width * rules.height
    work = config.count * config.steps * config.width * config.height
    longer = (config.frames or kind.frames.native) / kind.frames.native if kind.frames else 1.0
    return kind.expected_s * max(longer * work / usual, SMALLEST_COST)


@dataclass(frozen=True, kw_only=True)
class LegSpan:
    """The part [start, end] of a job's whole progress that one of its legs is, in [0, 1]."""

    start: float
    end: float

    def within(self, fraction: float) -> float:
        """The job's progress when this leg is `fraction` done."""
        return self.start + (self.end - self.start) * fraction

    def of_leg(self, fraction: float) -> float:
        """How far this leg is when the job is `fraction` done; the other way round of `within`."""
        return min(1.0, max(0.0, (fraction - self.start) / max(self.end - self.start, 1e-9)))


def leg_span(kind: JobType, config: JobConfig, rules: PixelRules, lane: str) -> LegSpan:
    """Where the leg in `lane` lies in the whole job, by what the legs are expected to take."""
    costs = [cost_s(kind, config, rules, each) for each in kind.lanes]
    place = kind.lanes.index(lane) if lane in kind.lanes else len(costs) - 1
    whole = sum(costs) or 1.0
    return LegSpan(start=sum(costs[:place]) / whole, end=sum(costs[: place + 1]) / whole)


def check_beginning(kind: JobType, beginning: str) -> None:
    """Raise InvalidInput unless jobs of `kind` can start from `beginning`: "text" alone, an "image" or a "video"."""
    if beginning in kind.starts_from:
        return
    if kind.kind == "image" and beginning == "video":
        raise InvalidInput("A film cannot be the reference of a picture. Choose a picture.", field="image")
    makes = f"The {kind.engine.upper()} checkpoint in use makes {'films' if kind.kind == 'video' else 'pictures'}"
    possible = " or ".join(BEGINNINGS[name] for name in kind.starts_from)
    what_to_do = "Add one" if beginning == "text" else "Take the reference out"
    raise InvalidInput(
        f"{makes} from {possible or 'nothing'} only, not from {BEGINNINGS[beginning]}. {what_to_do}, or set "
        f"STUDIO_{kind.engine.upper()}_MODEL to a checkpoint that can, such as {CAN_START_FROM_ANYTHING}.",
        field="image",
    )


def _frames(value: int | None, kind: JobType) -> int | None:
    rules = kind.frames
    if rules is None:
        if value not in (None, 1):
            raise InvalidInput(f"{kind.name} makes pictures; only films have frames.", field="frames")
        return None
    if value is None:
        return rules.native
    if not rules.smallest <= value <= rules.largest or value % rules.multiple != 1:
        raise InvalidInput(
            f"A film has {rules.multiple}n + 1 frames, from {rules.smallest} to {rules.largest}; {value} were asked. "
            f"The nearest is {rules.snap(value)}.",
            field="frames",
        )
    return value


def _sentence(kind: str, name: str, message: str) -> str:
    """What pydantic found, for a person."""
    known = {"missing": f"The order needs a {name}.", "extra_forbidden": f"An order has no field {name}."}
    return known.get(kind, f"{name}: {message}.")


def _strength(order: Order) -> float | None:
    if order.image is None:
        return None
    return order.strength or (DEFAULT_STRENGTH if order.mask is None else recipes.INPAINT_STRENGTH)


def _size(order: Order, kind: JobType, catalog: Catalog) -> tuple[int, int]:
    """(width, height) in pixels: as ordered if the checkpoint can make it, native where the order is silent."""
    rules = catalog.rules(kind)
    width = _length(order.width, "width", rules.width, rules)
    height = _length(order.height, "height", rules.height, rules)
    if width * height > rules.max_area:
        raise InvalidInput(
            f"{width} x {height} pixels are too many: at most {rules.max_area:,} together. Make a side shorter.",
            field="width",
        )
    return width, height


def _length(value: int | None, name: str, native: int, rules: PixelRules) -> int:
    if value is None:
        return native
    if not rules.smallest <= value <= rules.largest or value % rules.multiple:
        raise InvalidInput(
            f"{name.capitalize()} must be a multiple of {rules.multiple} from {rules.smallest} to {rules.largest} "
            f"pixels; {value} was asked.",
            field=name,
        )
    return value
