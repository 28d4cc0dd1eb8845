"""Plans of real models on cards that are not here, and of the demo models on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.contract import OutOfMemory, Plan
from studio.catalog import Catalog, JobType
from studio.devices import CUDA_SHARE
from studio.models import build_catalog_of, checkpoint_of
from studio.planning import Planned, Planner, largest_config, planner_of, usual_config
from studio.services.memory_notes import MemoryNotes
from studio.settings import Settings

GIB = 2**30
FULL, DEMO = Settings(models="full"), Settings(models="demo")
PlannerFor = Callable[..., Planner]


@pytest.fixture(scope="module")
def full_catalog() -> Catalog:
    return build_catalog_of(FULL)


@pytest.fixture
def planner_for(full_catalog: Catalog, tmp_path: Path) -> PlannerFor:
    """Makes planners of the published models on a card of so many GiB."""

    def make(card_gib: float, **choices: Any) -> Planner:
        budgets = choices.pop("budgets", {"cuda:0": round(card_gib * GIB * CUDA_SHARE)})
        return Planner(
            {lane: checkpoint_of(FULL, lane) for lane in full_catalog.lanes},
            full_catalog,
            budgets,
            choices.pop("notes", MemoryNotes(None)),
            cache_dir=tmp_path,
            **{"can_quantize": True, **choices},
        )

    return make


def usual(planner: Planner, kind: JobType, catalog: Catalog) -> Planned:
    return planner.for_job(kind, usual_config(kind, catalog))


def resident_bytes(planner: Planner) -> int:
    return sum(sum(planner.weights(lane).values()) + planner.context_bytes(lane) for lane in planner.checkpoints)


@pytest.mark.parametrize("card_gib", [48, 45])
def test_on_48_gb_all_models_stay_resident_whatever_runs(
    planner_for: PlannerFor, full_catalog: Catalog, card_gib: int
) -> None:
    # 45 GiB are what a card of 48 GB has left where it checks its memory for errors.
    planner = planner_for(card_gib)
    assert planner.qwen_quantization == "8bit"
    runs = [usual(planner, kind, full_catalog) for kind in full_catalog.types.values()]
    film = full_catalog.types["video_high"]
    runs += [planner.for_rewriting(), planner.for_job(film, largest_config(film, full_catalog))]
    for run in runs:
        assert run.plan == Plan()
        assert resident_bytes(planner) + run.working_bytes <= planner.budget_bytes


@pytest.mark.parametrize(("card_gib", "expected"), [(80, None), (48, "8bit"), (24, "4bit"), (12, "4bit")])
def test_qwen_is_as_precise_as_lets_everything_stay(
    planner_for: PlannerFor, card_gib: float, expected: str | None
) -> None:
    assert planner_for(card_gib).qwen_quantization == expected


def test_a_setting_decides_over_qwen_and_without_bitsandbytes_it_is_not_quantized(planner_for: PlannerFor) -> None:
    assert planner_for(80, quantization="4bit").qwen_quantization == "4bit"
    assert planner_for(24, can_quantize=False).qwen_quantization is None
    assert planner_for(0, budgets={"cpu": 20 * 10**9}).qwen_quantization is None


@pytest.mark.parametrize("card_gib", [24, 16, 12])
def test_every_type_has_a_plan_that_fits_a_smaller_card(
    planner_for: PlannerFor, full_catalog: Catalog, card_gib: int
) -> None:
    planner = planner_for(card_gib)
    for kind in full_catalog.types.values():
        assert usual(planner, kind, full_catalog).peak_bytes <= planner.budget_bytes
    assert planner.for_rewriting().peak_bytes <= planner.budget_bytes


def test_a_card_too_small_is_told_with_advice(planner_for: PlannerFor, full_catalog: Catalog) -> None:
    planner = planner_for(8)
    with pytest.raises(OutOfMemory, match=r"needs 11\.\d GB .* Ask for a smaller or shorter film"):
        usual(planner, full_catalog.types["video_fast"], full_catalog)


def test_the_smallest_of_several_cards_is_planned_for(planner_for: PlannerFor) -> None:
    planner = planner_for(0, budgets={"cuda:0": 45 * 10**9, "cuda:1": 22 * 10**9})
    assert planner.budget_bytes == 22 * 10**9
    assert [planner.device_of(index) for index in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]


def test_after_running_out_of_memory_the_next_plan_needs_less(planner_for: PlannerFor, full_catalog: Catalog) -> None:
    planner = planner_for(48)
    for name, rungs in (("sdxl_image_fast", [1, 2, 3, 5, 6]), ("video_high", [1, 3])):
        kind = full_catalog.types[name]
        config = usual_config(kind, full_catalog)
        planned = planner.for_job(kind, config)
        found: list[int] = []
        for _ in rungs:
            smaller = planner.for_job(kind, config, after=planned.plan)
            assert smaller.peak_bytes < planned.peak_bytes
            planned = smaller
            found.append(planned.plan.rung)
        # Rungs that would change nothing are passed over: they would run out of memory again.
        assert found == rungs
        with pytest.raises(OutOfMemory, match="no plan that needs less"):
            planner.for_job(kind, config, after=planned.plan)


def test_the_same_order_gets_the_same_plan_however_little_runs_took(
    planner_for: PlannerFor, full_catalog: Catalog
) -> None:
    planner = planner_for(16)
    kind = full_catalog.types["video_high"]
    first = usual(planner, kind, full_catalog)
    for _ in range(10):
        planner.learn(first, first.working_bytes // 3)
    assert usual(planner, kind, full_catalog).plan == first.plan


def test_what_a_run_took_is_kept_for_the_next(planner_for: PlannerFor, full_catalog: Catalog) -> None:
    planner = planner_for(48)
    kind = full_catalog.types["sdxl_image_high"]
    first = usual(planner, kind, full_catalog)
    planner.learn(first, round(first.working_bytes * 1.5), context_bytes=700_000_000)
    then = usual(planner, kind, full_catalog)
    assert then.working_bytes == pytest.approx(first.working_bytes * 1.5, rel=1e-6)
    assert (then.reckoned_bytes, then.context_bytes) == (first.reckoned_bytes, 700_000_000)
    assert usual(planner, full_catalog.types["video_fast"], full_catalog).working_bytes > 0
    # What a film took says nothing of a picture.
    assert planner.for_rewriting().working_bytes == planner_for(48).for_rewriting().working_bytes


def test_less_is_believed_only_so_far(planner_for: PlannerFor, full_catalog: Catalog) -> None:
    planner = planner_for(48)
    kind = full_catalog.types["sdxl_image_high"]
    first = usual(planner, kind, full_catalog)
    for _ in range(50):
        planner.learn(first, 0)
    assert usual(planner, kind, full_catalog).working_bytes == pytest.approx(first.working_bytes / 2, rel=0.01)


def test_a_cached_prompt_says_nothing_of_a_run_that_encodes_first(
    planner_for: PlannerFor, full_catalog: Catalog
) -> None:
    planner = planner_for(16)
    kind = full_catalog.types["video_high"]
    first = usual(planner, kind, full_catalog)
    assert first.plan.residency == "encode_first"
    planner.learn(first, first.working_bytes // 3)
    assert usual(planner, kind, full_catalog).working_bytes == first.working_bytes


def test_what_a_run_took_makes_the_plan_smaller_where_it_no_longer_fits(
    planner_for: PlannerFor, full_catalog: Catalog
) -> None:
    planner = planner_for(12)
    kind = full_catalog.types["sdxl_image_high"]
    first = usual(planner, kind, full_catalog)
    assert first.plan == Plan()
    planner.learn(first, round(first.working_bytes * 1.3))
    assert usual(planner, kind, full_catalog).plan.tiled


def test_nothing_that_was_learned_makes_a_job_impossible(planner_for: PlannerFor, full_catalog: Catalog) -> None:
    planner = planner_for(12)
    kind = full_catalog.types["video_high"]
    first = usual(planner, kind, full_catalog)
    planner.learn(first, first.working_bytes * 10, context_bytes=first.context_bytes * 2)
    then = usual(planner, kind, full_catalog)
    assert then.plan == first.plan
    assert then.peak_bytes <= planner.budget_bytes


def test_what_was_learned_outlives_the_planner(planner_for: PlannerFor, full_catalog: Catalog) -> None:
    notes = MemoryNotes(None)
    kind = full_catalog.types["video_fast"]
    planner = planner_for(48, notes=notes)
    first = usual(planner, kind, full_catalog)
    planner.learn(first, first.working_bytes * 2)
    assert usual(planner_for(48, notes=notes), kind, full_catalog).working_bytes == pytest.approx(
        first.working_bytes * 2, rel=1e-6
    )


def test_fast_jobs_are_planned_with_the_distilled_weights(tmp_path: Path) -> None:
    demo = Path(checkpoint_of(DEMO, "sdxl").location)
    settings = Settings(models="demo", sdxl_few_step=str(demo / "unet"), device_budget_gb=20)
    catalog = build_catalog_of(settings)
    planner = planner_of(settings, catalog, MemoryNotes(None))
    names = {
        quality: {part.name for part in usual(planner, catalog.types[f"sdxl_image_{quality}"], catalog).parts}
        for quality in ("fast", "high")
    }
    assert names == {"fast": {"text_encoders", "few_step_unet", "vae"}, "high": {"text_encoders", "unet", "vae"}}


def test_the_demo_models_fit_a_laptop() -> None:
    settings = Settings(models="demo", device_budget_gb=3)
    catalog = build_catalog_of(settings)
    planner = planner_of(settings, catalog, MemoryNotes(None))
    for kind in catalog.types.values():
        planned = usual(planner, kind, catalog)
        assert planned.plan == Plan()
        assert planned.peak_bytes < 10**9
        assert [part.rank for part in planned.parts] == sorted(part.rank for part in planned.parts)
