"""From the composer's fields to an order and back. No component in here, so that it is tested without a browser."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from studio.catalog import ASPECTS, RANDOM_SEED, Catalog, JobType
from studio.errors import InvalidInput
from studio.orders import Order, check_beginning, settle

WORK_FIELDS = ("count", "steps", "width", "height", "frames")
"""What decides, with the job type, how long a job runs."""


def order_from(fields: Mapping[str, Any], kind: JobType, *, mask: str | None = None) -> Order:
    """The order of a job of `kind` that the composer's `fields` describe. What `kind` has no use for is left out.

    Raises InvalidInput, in words.
    """
    reference = reference_id(fields.get("reference"))
    return Order.parse(
        {
            "prompt": (fields.get("prompt") or "").strip() or _no_prompt(kind),
            "job_type": kind.name,
            "negative_prompt": (fields.get("negative_prompt") or "").strip(),
            "width": _whole(fields.get("width"), "width"),
            "height": _whole(fields.get("height"), "height"),
            "steps": _whole(fields.get("steps"), "steps"),
            "guidance": fields.get("guidance"),
            "seed": _seed(fields.get("seed")),
            "count": _whole(fields.get("count"), "count"),
            "scheduler": fields.get("scheduler"),
            "image": reference,
            "mask": mask if reference and kind.takes_mask else None,
            "strength": fields.get("strength") if reference else None,
            "frames": _whole(fields.get("frames"), "frames") if kind.frames else None,
        }
    )


def work_from(fields: Mapping[str, Any], kind: JobType, catalog: Catalog) -> dict[str, Any] | None:
    """The job type and WORK_FIELDS of what `fields` would order, or None while they are nothing that can be made."""
    try:
        _, config = settle(order_from({**fields, "prompt": "any"}, kind), catalog)
    except InvalidInput:  # told when it is ordered: until then somebody may just be typing
        return None
    work = config.model_dump(include=set(WORK_FIELDS), exclude_none=True)
    return {"job_type": kind.name, "rewriting_s": kind.rewriting_s, **work}


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
        "frames": config.get("frames"),
        "scheduler": config.get("scheduler", "default"),
        "strength": config.get("strength"),
        "reference": {"id": image} if image else None,
    }


def reference_id(value: object) -> str | None:
    """The id of the upload or asset in the reference tile's value, or None."""
    found = value.get("id") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and found else None


def aspect_of(width: float | None, height: float | None, job_type: JobType, catalog: Catalog) -> str | None:
    """Name of the aspect whose size for `job_type` is width x height (pixels), else None. On a coarse grid several may
    share a size: then the nearest."""
    sharing = [name for name, size in _sizes(job_type, catalog).items() if size == (width, height)]
    if not width or not height or not sharing:
        return None
    return _nearest(width / height, sharing)


def size_of(aspect: str | None, job_type: JobType, catalog: Catalog) -> tuple[int, int] | None:
    """(width, height) in pixels of the aspect called `aspect` for `job_type`, None for an unknown name."""
    return _sizes(job_type, catalog).get(aspect or "")


def _sizes(job_type: JobType, catalog: Catalog) -> dict[str, tuple[int, int]]:
    """The size of every aspect by its name. The one that fits best, lying or standing, has the checkpoint's own size,
    which it was trained at and makes best."""
    rules = catalog.rules(job_type)
    sizes = {aspect.name: rules.for_aspect(aspect.ratio) for aspect in ASPECTS}
    best = fitting_aspect(job_type, catalog)
    turned = ":".join(reversed(best.split(":")))
    if turned in sizes:
        sizes[turned] = (rules.height, rules.width)
    return {**sizes, best: (rules.width, rules.height)}


def fitting_aspect(kind: JobType, catalog: Catalog) -> str:
    """Name of the aspect nearest to the size that the checkpoint of `kind` was trained at."""
    rules = catalog.rules(kind)
    return _nearest(rules.width / rules.height, [aspect.name for aspect in ASPECTS])


def _nearest(ratio: float, names: Sequence[str]) -> str:
    """Name of the aspect among `names` whose width : height is nearest to `ratio`."""
    among = (aspect for aspect in ASPECTS if aspect.name in names)
    return min(among, key=lambda aspect: abs(math.log(ratio / aspect.ratio))).name


def length_label(frames: float | None, kind: JobType) -> str:
    """What the slider of a film's length says: "Length: 81 frames · 5.1 s"."""
    if kind.frames is None or not isinstance(frames, int | float):
        return "Length"
    return f"Length: {frames:.0f} frames · {frames / kind.frames.fps:.1f} s"


def reference_for(kind: JobType, reference: object) -> dict[str, Any]:
    """The value of the reference tile for jobs of `kind`: the reference, if any, and what such jobs can start from."""
    known = dict(reference) if isinstance(reference, Mapping) else {}
    return {**known, "makes": kind.kind, "starts_from": list(kind.starts_from)}


def check_reference(kind: JobType, reference: object) -> None:
    """Raise InvalidInput, with what to do, if jobs of `kind` cannot start from the reference in the tile's value."""
    if reference_id(reference) is not None and isinstance(reference, Mapping):
        check_beginning(kind, "video" if reference.get("kind") == "video" else "image")


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


def _no_prompt(kind: JobType) -> str:
    what = "film" if kind.kind == "video" else "picture"
    raise InvalidInput(f"Write a prompt first: say what the {what} should show.", field="prompt")


def _seed(value: object) -> int:
    return RANDOM_SEED if value in (None, "") else _whole(value, "seed") or 0


def _whole(value: object, name: str) -> int | None:
    if value in (None, ""):
        return None
    if isinstance(value, int | float) and float(value).is_integer():
        return int(value)
    raise InvalidInput(f"{name.capitalize()} must be a whole number.", field=name)
