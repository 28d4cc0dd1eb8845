"""From the composer's fields to an order and back. No component in here, so that it is tested without a browser."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from studio.catalog import ASPECTS, RANDOM_SEED, Catalog, JobType
from studio.errors import InvalidInput
from studio.orders import Order, settle

WORK_FIELDS = ("count", "steps", "width", "height")
"""What decides, with the job type, how long a job runs."""


def order_from(fields: Mapping[str, Any], job_type: str, *, mask: str | None = None) -> Order:
    """The order that the composer's `fields` describe. Raises InvalidInput, in words."""
    reference = reference_id(fields.get("reference"))
    return Order.parse(
        {
            "prompt": (fields.get("prompt") or "").strip() or _no_prompt(),
            "job_type": job_type,
            "negative_prompt": (fields.get("negative_prompt") or "").strip(),
            "width": _whole(fields.get("width"), "width"),
            "height": _whole(fields.get("height"), "height"),
            "steps": _whole(fields.get("steps"), "steps"),
            "guidance": fields.get("guidance"),
            "seed": _seed(fields.get("seed")),
            "count": _whole(fields.get("count"), "count"),
            "scheduler": fields.get("scheduler"),
            "image": reference,
            "mask": mask if reference else None,
            "strength": fields.get("strength") if reference else None,
        }
    )


def work_from(fields: Mapping[str, Any], job_type: str, catalog: Catalog) -> dict[str, Any] | None:
    """The job type and WORK_FIELDS of what `fields` would order, or None while they are nothing that can be made."""
    try:
        _, config = settle(order_from({**fields, "prompt": "any"}, job_type), catalog)
    except InvalidInput:  # told when it is ordered: until then somebody may just be typing
        return None
    return {"job_type": job_type, **config.model_dump(include=set(WORK_FIELDS))}


def fields_from(job: Mapping[str, Any], *, seed: int | None = None) -> dict[str, Any]:
    """The composer's fields that would order `job` (a job's JSON) again; `seed` takes the place of the job's own."""
    config = job["config"]
    image = config.get("image")
    return {
        "prompt": job["prompt"],
        "negative_prompt": job["negative_prompt"],
        "width": config["width"],
        "height": config["height"],
        "steps": config["steps"],
        "guidance": config["guidance"],
        "seed": config["seed"] if seed is None else seed,
        "count": config["count"],
        "scheduler": config.get("scheduler", "default"),
        "strength": config.get("strength"),
        "reference": {"id": image} if image else None,
    }


def reference_id(value: object) -> str | None:
    """The id of the upload or asset in the reference tile's value, or None."""
    found = value.get("id") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and found else None


def aspect_of(width: float | None, height: float | None, job_type: JobType, catalog: Catalog) -> str | None:
    """Name of the aspect whose size for `job_type` is width x height (pixels), else None."""
    for aspect in ASPECTS:
        if catalog.rules(job_type).for_aspect(aspect.ratio) == (width, height):
            return aspect.name
    return None


def size_of(aspect: str | None, job_type: JobType, catalog: Catalog) -> tuple[int, int] | None:
    """(width, height) in pixels of the aspect called `aspect` for `job_type`, None for an unknown name."""
    ratios = {known.name: known.ratio for known in ASPECTS}
    return catalog.rules(job_type).for_aspect(ratios[aspect]) if aspect in ratios else None


def mask_png(layers: Sequence[Image.Image] | None) -> bytes | None:
    """A PNG (L; white = repaint) of what was painted on `layers` (RGBA), or None when nothing was."""
    painted: Image.Image | None = None
    for layer in layers or ():
        strokes = layer.convert("RGBA").getchannel("A").point(lambda alpha: 255 if alpha > 0 else 0)
        if painted is None:
            painted = strokes
        elif strokes.size == painted.size:
            painted = Image.composite(strokes, painted, strokes)
    if painted is None or painted.getbbox() is None:
        return None
    buffer = io.BytesIO()
    painted.save(buffer, "PNG")
    return buffer.getvalue()


def _no_prompt() -> str:
    raise InvalidInput("Write a prompt first: say what the picture should show.", field="prompt")


def _seed(value: object) -> int:
    return RANDOM_SEED if value in (None, "") else _whole(value, "seed") or 0


def _whole(value: object, name: str) -> int | None:
    if value in (None, ""):
        return None
    if isinstance(value, int | float) and float(value).is_integer():
        return int(value)
    raise InvalidInput(f"{name.capitalize()} must be a whole number.", field=name)
