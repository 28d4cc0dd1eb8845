"""The composer's plain choices, derived from the catalog: a new row in the table is a new choice on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from studio.catalog import REWRITING_LANE, Catalog, JobType

AXES = ("kind", "engine", "rewrite", "quality")
"""What a person chooses, in order. Each choice narrows the ones after it, so an impossible pair cannot be chosen."""
LABELS = {
    "image": "Picture",
    "video": "Film",
    "fast": "Fast",
    "high": "High",
    "as written": "As written",
    "rewritten": "Rewritten",
}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The job type that the picks lead to, the pick of every axis, and what each offers beside the earlier ones."""

    job_type: JobType
    picks: dict[str, str]
    options: dict[str, list[str]]

    def choices(self, axis: str) -> list[tuple[str, str]]:
        """(label, value) of what `axis` offers."""
        return [(LABELS.get(option, option.upper()), option) for option in self.options[axis]]


def choose(catalog: Catalog, picks: Mapping[str, str | None]) -> Chosen:
    """The job type nearest to `picks`: a pick that the earlier ones rule out gives way to the first that fits."""
    candidates = list(catalog.types.values())
    settled: dict[str, str] = {}
    options: dict[str, list[str]] = {}
    for axis in AXES:
        options[axis] = list(dict.fromkeys(traits(kind)[axis] for kind in candidates))
        picked = picks.get(axis)
        settled[axis] = picked if picked in options[axis] else options[axis][0]
        candidates = [kind for kind in candidates if traits(kind)[axis] == settled[axis]]
    return Chosen(job_type=candidates[0], picks=settled, options=options)


def can_rewrite(catalog: Catalog) -> bool:
    """Whether prompts can be rewritten here."""
    return REWRITING_LANE in catalog.lanes


def traits(job_type: JobType) -> dict[str, str]:
    """The pick of every axis that leads to `job_type`."""
    return {
        "kind": job_type.kind,
        "engine": job_type.engine,
        "rewrite": "rewritten" if job_type.lanes[0] == REWRITING_LANE else "as written",
        "quality": job_type.quality,
    }
