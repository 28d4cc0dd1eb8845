"""What a person asks for, and the checked form of it that is kept with the job.

Every door (browser, gradio_client, REST, MCP) ends in `Order`; `settle` turns it into a `JobConfig` or raises
InvalidInput with a sentence and the name of the field.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
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
SCHEDULERS = ("default", *recipes.SCHEDULER_NAMES)


class Order(BaseModel):
    """One request as a client writes it. `None` means the job type's default; `image` and `mask` are the ids of an
    upload or an asset of the person; `project` the id of a project."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARS)
    job_type: str = DEFAULT_JOB_TYPE
    negative_prompt: str = Field("", max_length=MAX_PROMPT_CHARS)
    width: int | None = None
    height: int | None = None
    steps: int | None = Field(None, ge=1, le=MAX_STEPS)
    guidance: float | None = Field(None, ge=0, le=MAX_GUIDANCE, allow_inf_nan=False)
    seed: int = Field(RANDOM_SEED, ge=RANDOM_SEED, le=MAX_SEED)
    count: int | None = Field(None, ge=1)
    scheduler: str | None = None
    image: str | None = Field(None, max_length=64)
    mask: str | None = Field(None, max_length=64)
    strength: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    project: str | None = Field(None, max_length=64)

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
    """The settings a job runs with, every default filled in: kept with the job and copied to its assets."""

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
    if order.scheduler is not None and order.scheduler not in SCHEDULERS:
        raise InvalidInput(f"Unknown scheduler. Choose one of: {', '.join(SCHEDULERS)}.", field="scheduler")
    if order.mask is not None and order.image is None:
        raise InvalidInput("A mask needs the image it belongs to.", field="mask")
    scheduler = order.scheduler if order.scheduler not in (None, "default") else kind.defaults.scheduler
    return kind, JobConfig(
        width=_length(order.width, "width", kind, catalog),
        height=_length(order.height, "height", kind, catalog),
        steps=order.steps if order.steps is not None else kind.defaults.steps,
        guidance=order.guidance if order.guidance is not None else kind.defaults.guidance,
        seed=order.seed if order.seed != RANDOM_SEED else secrets.randbelow(MAX_SEED + 1),
        count=count,
        scheduler=scheduler,
        image=order.image,
        mask=order.mask,
        strength=_strength(order),
    )


def cost_s(kind: JobType, config: JobConfig, rules: PixelRules) -> float:
    """Seconds that a job with `config` is expected to run before anything is learned: the type's expected run time,
    scaled by pictures x steps x pixels relative to the type's defaults. It is the job's cost in the fair queue."""
    usual = kind.default_count * kind.defaults.steps * rules.native**2
    work = config.count * config.steps * config.width * config.height
    return kind.expected_s * max(work / usual, SMALLEST_COST)


def _sentence(kind: str, name: str, message: str) -> str:
    """What pydantic found, for a person."""
    known = {"missing": f"The order needs a {name}.", "extra_forbidden": f"An order has no field {name}."}
    return known.get(kind, f"{name}: {message}.")


def _strength(order: Order) -> float | None:
    if order.image is None:
        return None
    return order.strength or (DEFAULT_STRENGTH if order.mask is None else recipes.INPAINT_STRENGTH)


def _length(value: int | None, name: str, kind: JobType, catalog: Catalog) -> int:
    """A side of the picture in pixels: as ordered if the checkpoint can make it, native where the order is silent."""
    rules = catalog.rules(kind)
    if value is None:
        return rules.native
    if not rules.smallest <= value <= rules.largest or value % rules.multiple:
        raise InvalidInput(
            f"{name.capitalize()} must be a multiple of {rules.multiple} from {rules.smallest} to {rules.largest} "
            f"pixels; {value} was asked.",
            field=name,
        )
    return value
