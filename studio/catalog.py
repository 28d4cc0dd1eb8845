"""The job types: one table from which validation, presets, the screens and the documentation are derived."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

MAX_PROMPT_CHARS = 4000
"""Longer prompts are refused: about 1,000 tokens, far past what any text encoder here uses."""
MAX_PICTURES = 6
MAX_STEPS = 150
MAX_GUIDANCE = 30.0
MAX_SEED = 2**32 - 1
RANDOM_SEED = -1


@dataclass(frozen=True, kw_only=True)
class Aspect:
    """A shape of picture: its name in the screens and its ratio width : height."""

    name: str
    ratio: float


ASPECTS = (
    Aspect(name="1:1", ratio=1.0),
    Aspect(name="3:2", ratio=3 / 2),
    Aspect(name="2:3", ratio=2 / 3),
    Aspect(name="16:9", ratio=16 / 9),
    Aspect(name="9:16", ratio=9 / 16),
    Aspect(name="4:5", ratio=4 / 5),
)


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a job type uses where the order is silent: steps, guidance scale and scheduler of its recipe."""

    steps: int
    guidance: float
    scheduler: str


@dataclass(frozen=True, kw_only=True)
class JobType:
    """One row of the table.

    `lanes` in the order in which the job passes through them. `expected_s` is the first estimate of the run time in
    seconds of a job with the default count, steps and size, until this installation has runs of its own to learn from.
    """

    name: str
    label: str
    description: str
    lanes: tuple[str, ...]
    quality: str
    kind: str
    mime_type: str
    default_count: int
    max_count: int
    expected_s: float
    defaults: Defaults

    @property
    def bucket(self) -> str:
        """First part of the storage keys of this type's files."""
        return self.name

    @property
    def extension(self) -> str:
        return "mp4" if self.kind == "video" else "png"


@dataclass(frozen=True, kw_only=True)
class PixelRules:
    """What sizes the checkpoint of a lane can make, in pixels. Sizes are multiples of `multiple`."""

    native: int
    multiple: int
    smallest: int
    largest: int

    def for_aspect(self, ratio: float) -> tuple[int, int]:
        """(width, height) of about native² pixels with width : height near `ratio`, on the grid of `multiple`."""
        width = self.native * ratio**0.5
        return self.snap(width), self.snap(width / ratio)

    def snap(self, pixels: float) -> int:
        """The nearest allowed length."""
        nearest = round(pixels / self.multiple) * self.multiple
        return min(max(nearest, self.smallest), self.largest)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The job types of this installation and the sizes their checkpoints can make."""

    types: MappingProxyType[str, JobType]
    pixels: MappingProxyType[str, PixelRules]

    def rules(self, job_type: JobType) -> PixelRules:
        """The sizes of the lane that makes the pictures, the last one."""
        return self.pixels[job_type.lanes[-1]]

    @property
    def lanes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(lane for kind in self.types.values() for lane in kind.lanes))

    def as_json(self) -> list[dict[str, object]]:
        """The catalog for clients: a row a type with its limits, defaults and presets."""
        return [_type_json(self, job_type) for job_type in self.types.values()]


def sdxl_types(*, fast: Defaults, high: Defaults, expected_s: tuple[float, float]) -> tuple[JobType, ...]:
    """The job types of the SDXL lane with the recipes (fast, high) of the checkpoint in use."""
    return (
        _six_pictures("fast", "Pictures, fast", "Six SDXL pictures in a few steps.", expected_s[0], fast),
        _six_pictures("high", "Pictures, high quality", "Six SDXL pictures, all steps.", expected_s[1], high),
    )


def _six_pictures(quality: str, label: str, description: str, expected_s: float, defaults: Defaults) -> JobType:
    return JobType(
        name=f"sdxl_image_{quality}",
        label=label,
        description=description,
        lanes=("sdxl",),
        quality=quality,
        kind="image",
        mime_type="image/png",
        default_count=MAX_PICTURES,
        max_count=MAX_PICTURES,
        expected_s=expected_s,
        defaults=defaults,
    )


def build_catalog(types: tuple[JobType, ...], pixels: dict[str, PixelRules]) -> Catalog:
    """A catalog of `types`; `pixels` has the rules of every lane that makes pictures."""
    return Catalog(types=MappingProxyType({kind.name: kind for kind in types}), pixels=MappingProxyType(dict(pixels)))


def _type_json(catalog: Catalog, kind: JobType) -> dict[str, object]:
    rules = catalog.rules(kind)
    return {
        "type": kind.name,
        "label": kind.label,
        "description": kind.description,
        "kind": kind.kind,
        "mime_type": kind.mime_type,
        "quality": kind.quality,
        "lanes": list(kind.lanes),
        "bucket": kind.bucket,
        "expected_s": kind.expected_s,
        "defaults": {
            "count": kind.default_count,
            "steps": kind.defaults.steps,
            "guidance": kind.defaults.guidance,
            "scheduler": kind.defaults.scheduler,
            "width": rules.native,
            "height": rules.native,
        },
        "limits": {
            "count": kind.max_count,
            "steps": MAX_STEPS,
            "guidance": MAX_GUIDANCE,
            "prompt_chars": MAX_PROMPT_CHARS,
            "smallest_px": rules.smallest,
            "largest_px": rules.largest,
            "multiple_px": rules.multiple,
        },
        "aspects": {aspect.name: list(rules.for_aspect(aspect.ratio)) for aspect in ASPECTS},
    }
