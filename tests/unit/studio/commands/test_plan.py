"""`python app.py plan`, and the document that shows what it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.contract import Plan
from studio.commands.plan import main, planner_for, walk
from studio.settings import Settings

ROOT = Path(__file__).parents[4]
DOCUMENT = ROOT / "README.md"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a studio that has downloaded nothing."""
    return Settings(data_dir=tmp_path)


def printed(vram: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> str:
    main(vram, settings)
    return capsys.readouterr().out


async def test_on_48_gb_nothing_gives_way_between_jobs_of_different_families(settings: Settings) -> None:
    planner, catalog = planner_for("48", settings)
    walked = await walk(planner, catalog)
    assert len(walked) == len(catalog.types) + 2
    assert planner.qwen_quantization == "8bit"
    resident_bytes = sum(
        sum(planner.weights(lane).values()) + planner.context_bytes(lane) for lane in ("sdxl", "wan", "qwen")
    )
    for job in walked:
        assert job.planned is not None
        assert job.planned.plan == Plan()
        assert not job.gave_way
        # On the ledger all models are there while any of them works.
        assert job.held_bytes == resident_bytes + job.planned.working_bytes <= planner.budget_bytes


@pytest.mark.parametrize("vram", ["24", "16", "12"])
async def test_on_a_smaller_card_others_give_way_and_the_budget_is_kept(vram: str, settings: Settings) -> None:
    planner, catalog = planner_for(vram, settings)
    walked = await walk(planner, catalog)
    assert any(job.gave_way for job in walked)
    for job in walked:
        assert job.planned is not None
        assert job.planned.peak_bytes <= job.held_bytes <= planner.budget_bytes


async def test_what_cannot_run_is_said_and_the_rest_goes_on(settings: Settings) -> None:
    planner, catalog = planner_for("8", settings)
    walked = {job.name: job for job in await walk(planner, catalog)}
    assert "Ask for a smaller or shorter film" in walked["video_fast"].problem
    assert walked["sdxl_image_fast"].planned is not None


def test_it_prints_what_stays_what_gives_way_and_every_plan(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed("16", settings, capsys)
    assert "Qwen model, WAN text encoder, SDXL text encoders, SDXL UNet" in text
    assert re.search(r"video7b_high_enhanced +832x480, 81 frames .* 1  text encoder leaves early", text)
    assert "gives way: Qwen model" in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_on_a_cpu_the_demo_models_are_planned_where_they_are_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = printed("cpu", Settings(data_dir=tmp_path, models="demo", device_budget_gb=16), capsys)
    full = printed("cpu", Settings(data_dir=tmp_path, device_budget_gb=16), capsys)
    assert "plans with 16.0 GB" in demo
    assert "Tiny World" in demo
    assert "All models stay resident together" in demo
    assert "stable-diffusion-xl-base-1.0" in full
    assert "give way" in full


def test_the_budget_that_is_set_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the studio plans with 20.0 GB" in printed("48", Settings(data_dir=tmp_path, device_budget_gb=20), capsys)


@pytest.mark.parametrize("vram", ["much", "-3", "0", "nan", "inf", ""])
def test_another_size_is_refused_in_words(vram: str, settings: Settings) -> None:
    with pytest.raises(SystemExit, match="number of GB such as 48"):
        main(vram, settings)


def test_a_model_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="STUDIO_SDXL_MODEL"):
        main("48", Settings(data_dir=tmp_path, sdxl_model=str(tmp_path / "none")))


def test_no_model_library_is_imported() -> None:
    code = (
        "import sys; from studio.commands.plan import main; from studio.settings import Settings\n"
        "main('48', Settings())\n"
        "print([name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("vram", ["48", "24", "16", "12"])
def test_the_document_shows_what_is_printed(vram: str, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(vram, settings, capsys) in DOCUMENT.read_text(encoding="utf-8")
