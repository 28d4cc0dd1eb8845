"""Making a picture or film again from its receipt, and saying whether two of them are equal or what differs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from PIL import Image

from pipelines.film_reading import Frame, UnreadableFilm, read_frames
from studio.catalog import Catalog, JobType
from studio.errors import InvalidInput, StorageFailed
from studio.orders import Order
from studio.people import Person
from studio.services.jobs import JobService
from studio.services.library import LibraryService
from studio.services.uploads import UploadService

log = logging.getLogger(__name__)

COMPARED_AT_ONCE = 2
"""Comparisons beside each other: one of two long films keeps two decoders and a processor core busy for seconds."""
SHAPE = ("kind", "width", "height", "frames")
"""Fields of an asset without which equal pixels mean nothing."""
ORDERED = ("width", "height", "steps", "guidance", "image", "mask", "strength", "frames")
"""Fields of a job's config that an order takes over as they are."""
CONFIG_FACTS = ("steps", "guidance", "scheduler", "strength", "image", "mask", "count")
UNTOLD = frozenset({"seeds", "enhancement", "note", "timings", "memory", "out_of_memory_under"})
"""Parts of a receipt that say nothing of how this picture was made: every picture's seed is compared by itself, a
prompt that was rewritten once is taken as it is, of two plans the second made it, and the rest was measured."""
UNTOLD_ENDINGS = ("_s", "_hits", "_calls", "_total", "_parked")
"""Endings of the names of timings and of counters of caches."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PixelDifference:
    """How far two works of the same shape are apart: `largest` difference of a colour value, 0 to 255, and the share
    of pixels that differ, 0 to 1."""

    largest: int
    share: float


class ComparingService:
    """Orders works again and compares them. What belongs to somebody else is NotFound, as in the services it uses."""

    def __init__(
        self,
        *,
        jobs: JobService,
        library: LibraryService,
        media: UploadService,
        catalog: Catalog,
        scratch_root: Path,
    ) -> None:
        self._jobs = jobs
        self._library = library
        self._media = media
        self._catalog = catalog
        self._scratch_root = scratch_root
        self._at_once = CapacityLimiter(COMPARED_AT_ONCE)

    def run_again(self, person: Person, asset_id: str) -> Json:
        """Queue a job that makes this one picture or film again, with its settings and seed, and return the job.

        A prompt that was rewritten is taken as it was rewritten. Raises NotFound, or as an order does where the studio
        can no longer make it.
        """
        asset = self._library.get(person, asset_id)
        job = self._jobs.get(person, asset["job_id"])
        kind = _plain(self._catalog, job["type"])
        config = job["config"]
        fields = {name: config.get(name) for name in ORDERED}
        order = Order.parse(
            fields
            | {
                "prompt": asset["enhanced_prompt"] or asset["prompt"],
                "negative_prompt": asset["negative_prompt"],
                "job_type": kind.name,
                "scheduler": None if config["scheduler"] == kind.defaults.scheduler else config["scheduler"],
                "seed": asset["seed"],
                "count": 1,
                "project": asset["project_id"],
            }
        )
        return self._jobs.submit(person, order, again_of=asset_id)

    async def compare(self, person: Person, asset_id: str, other_id: str | None) -> Json:
        """Hold the decoded pixels and the receipts of `other_id` against those of `asset_id`.

        {"equal", "what": "pixels" or "frames", "largest_difference": 0 to 255, "share_different": 0 to 1 of the pixels,
        "differences": [{"fact", "before", "after"}]}. Works of different shapes have no pixel differences: null.
        Raises NotFound, InvalidInput without `other_id`, or StorageFailed.
        """
        return await to_thread.run_sync(self._compare, person, asset_id, other_id, limiter=self._at_once)

    def _compare(self, person: Person, asset_id: str, other_id: str | None) -> Json:
        first = self._library.get(person, asset_id)
        if other_id is None:
            raise InvalidInput("Say with which picture or film to compare it.", field="with")
        second = self._library.get(person, other_id)
        same_shape = all(first[name] == second[name] for name in SHAPE)
        found = self._pixels(person, first, second) if same_shape else None
        facts = [_facts(asset, self._jobs.get(person, asset["job_id"])) for asset in (first, second)]
        return {
            "equal": found is not None and found.largest == 0,
            "what": "frames" if first["kind"] == "video" else "pixels",
            "largest_difference": None if found is None else found.largest,
            "share_different": None if found is None else round(found.share, 6),
            "differences": fact_differences(*facts),
        }

    def _pixels(self, person: Person, first: Json, second: Json) -> PixelDifference:
        self._scratch_root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="compare-", dir=self._scratch_root) as folder:
            paths = [self._media.path_for(person.id, asset["id"], Path(folder)) for asset in (first, second)]
            try:
                if first["kind"] == "video":
                    return film_difference(paths[0], paths[1], first["width"], first["height"])
                return difference_of((_picture(path) for path in paths[:1]), (_picture(path) for path in paths[1:]))
            except (UnreadableFilm, OSError) as error:
                log.exception("Assets %s and %s could not be compared.", first["id"], second["id"])
                raise StorageFailed("The stored files could not be read, so they cannot be compared.") from error


def film_difference(first: Path, second: Path, width: int, height: int) -> PixelDifference:
    """Compare two films of `width` x `height` pixels, a frame of each in memory at a time. Raises UnreadableFilm, also
    where one has more frames."""
    with closing(read_frames(first, width, height)) as before, closing(read_frames(second, width, height)) as after:
        return difference_of(before, after)


def difference_of(first: Iterator[Frame], second: Iterator[Frame]) -> PixelDifference:
    """Compare pictures [height, width, 3] of one size pair by pair. Raises UnreadableFilm where one has more."""
    largest = different = pixels = 0
    for before, after in zip_longest(first, second):
        if before is None or after is None:
            raise UnreadableFilm("One of the films has more frames than its record says.")
        by_pixel = np.abs(before.astype(np.int16) - after).max(axis=2)
        largest = max(largest, int(by_pixel.max()))
        different += int(np.count_nonzero(by_pixel))
        pixels += by_pixel.size
    return PixelDifference(largest=largest, share=different / pixels)


def fact_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Json]:
    """The facts in which two works differ, as [{"fact", "before", "after"}]; null where one has no such fact."""
    names = dict.fromkeys((*before, *after))
    return [
        {"fact": name, "before": before.get(name), "after": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    ]


def flattened(receipt: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The facts of a receipt by dotted names, without timings and counters: {"plan.tiled": False, …}."""
    flat: dict[str, Any] = {}
    for name, value in receipt.items():
        if name in UNTOLD or name.endswith(UNTOLD_ENDINGS):
            continue
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _facts(asset: Json, job: Json) -> dict[str, Any]:
    """What a work was made from and how. What the pipeline reports wins over what was ordered."""
    own = {
        "prompt": asset["enhanced_prompt"] or asset["prompt"],
        **{name: asset[name] for name in ("negative_prompt", "seed", *SHAPE, "fps")},
    }
    ordered = {name: job["config"].get(name) for name in CONFIG_FACTS}
    return {**own, **ordered, **flattened(job["receipt"] or {})}


def _plain(catalog: Catalog, name: str) -> JobType:
    """The type that makes the same from a prompt as it is written. Raises InvalidInput for an unknown `name`."""
    kind = catalog.types.get(name)
    if kind is None:
        raise InvalidInput(f"This studio does not make {name[:60]} any more.")
    wanted = (kind.engine, kind.kind, kind.quality)
    plain = (
        each
        for each in catalog.types.values()
        if each.lanes == (kind.engine,) and (each.engine, each.kind, each.quality) == wanted
    )
    return next(plain, kind)


def _picture(path: Path) -> Frame:
    with Image.open(path, formats=["PNG"]) as opened:
        return np.asarray(opened.convert("RGB"))
