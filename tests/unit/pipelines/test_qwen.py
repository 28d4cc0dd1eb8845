"""QwenRewriter against its contract, on real Qwen2 models whose weights say what a test wants to hear."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils.import_utils import is_bitsandbytes_available

from pipelines import qwen, qwen_writing
from pipelines.contract import (
    Cancelled,
    InvalidRequest,
    ModelMissing,
    Progress,
    RewriteRequest,
    RewriteResult,
    Stage,
)
from pipelines.qwen import create
from tests.unit.pipelines.tiny_qwen import ENDLESS, save

BOAT = ("A small sailboat drifts over dark water", " beneath the stars and a full moon.", " Soft light, wide shot.")
SHIP = ("A wooden boat rocks", " on a calm sea at night,", " lit by one lantern.")
BALLOON = ("A red balloon floats", " over the hills at noon.")

Save = Callable[..., Path]


def request(prompt: str = "boat at night", **fields: Any) -> RewriteRequest:
    return RewriteRequest(**({"job_id": "job1", "prompt": prompt, "kind": "image"} | fields))


def run(rewriter: Any, *args: Any, **fields: Any) -> RewriteResult:
    result: RewriteResult = rewriter.generate(request(*args, **fields), lambda progress: None, lambda: False)
    return result


def rewriter_of(folder: Path, **options: Any) -> Any:
    return create(**({"checkpoint": str(folder), "device": "cpu", "report_interval_s": 0.0} | options))


@pytest.fixture(scope="module")
def boat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("qwen") / "boat", BOAT)


@pytest.fixture(scope="module")
def two_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says one of two things, by chance."""
    return save(tmp_path_factory.mktemp("qwen") / "two", BOAT, SHIP)


@pytest.fixture(scope="module")
def endless_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("qwen") / "endless", (*BOAT, " and then", ENDLESS))


def test_a_short_prompt_comes_back_rich(boat_folder: Path) -> None:
    result = run(rewriter_of(boat_folder))
    assert result.prompt == "".join(BOAT)
    assert result.note is None
    assert set(result.timings_s) == {"loading_s", "enhancing_s"}
    assert result.timings_s["enhancing_s"] > 0
    receipt = result.receipt
    assert (receipt["checkpoint"], receipt["tokens"], receipt["tries"], receipt["cached"]) == ("boat", 4, 1, False)
    json.dumps(receipt)


def test_the_text_grows_on_the_screen(boat_folder: Path) -> None:
    reports: list[Progress] = []
    rewriter_of(boat_folder).generate(request(), reports.append, lambda: False)
    assert list(dict.fromkeys(report.stage for report in reports)) == [Stage.LOADING, Stage.ENHANCING]
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    texts = [report.text for report in reports if report.text]
    assert texts[:3] == [BOAT[0], BOAT[0] + BOAT[1], "".join(BOAT)]
    assert [report.step for report in reports if report.step] == [1, 2, 3, 4]


def test_reports_keep_their_distance(boat_folder: Path) -> None:
    reports: list[Progress] = []
    rewriter_of(boat_folder, report_interval_s=3600.0).generate(request(), reports.append, lambda: False)
    assert [report.step for report in reports if report.step] == [1]
    assert reports[-1].text == "".join(BOAT)


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(two_folder: Path) -> None:
    first, again = ([run(rewriter_of(two_folder), seed=seed).prompt for seed in range(8)] for _ in range(2))
    assert first == again
    assert set(first) == {"".join(BOAT), "".join(SHIP)}


def test_nobody_elses_random_numbers_are_touched(two_folder: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    run(rewriter_of(two_folder), seed=3)
    assert torch.equal(torch.rand(4), expected)


def test_a_checkpoint_that_samples_nothing_is_sampled(tmp_path: Path) -> None:
    rewriter = rewriter_of(save(tmp_path / "greedy", BOAT, SHIP, do_sample=False))
    assert len({run(rewriter, seed=seed).prompt for seed in range(8)}) == 2


def test_a_repeated_prompt_comes_from_the_cache(boat_folder: Path) -> None:
    rewriter = rewriter_of(boat_folder)
    first = run(rewriter)
    reports: list[Progress] = []
    second = rewriter.generate(request("boat  at\nnight"), reports.append, lambda: False)
    assert second.prompt == first.prompt
    assert (second.receipt["cached"], second.receipt["cache_hits"], second.receipt["cache_misses"]) == (True, 1, 1)
    assert [(report.fraction, report.text) for report in reports] == [(1.0, first.prompt)]


@pytest.mark.parametrize("change", [{"kind": "video"}, {"seed": 1}, {"prompt": "boat by night"}, {"language": "zh"}])
def test_whatever_the_answer_depends_on_is_in_the_key(change: dict[str, Any], boat_folder: Path) -> None:
    rewriter = rewriter_of(boat_folder)
    run(rewriter)
    assert run(rewriter, **change).receipt["cached"] is False


def test_the_cache_forgets_what_was_asked_longest_ago(boat_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qwen, "CACHED_ANSWERS", 2)
    rewriter = rewriter_of(boat_folder)
    for seed in (0, 1, 0, 2):
        run(rewriter, seed=seed)
    assert [run(rewriter, seed=seed).receipt["cached"] for seed in (0, 2, 1)] == [True, True, False]


def test_a_known_prompt_needs_no_model(boat_folder: Path) -> None:
    rewriter = rewriter_of(boat_folder)
    run(rewriter)
    rewriter.release()
    reports: list[Progress] = []
    result = rewriter.generate(request(), reports.append, lambda: False)
    assert result.receipt["cached"]
    assert [report.stage for report in reports] == [Stage.ENHANCING]


def test_another_model_does_not_answer_from_the_first_ones_cache(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", BOAT)
    rewriter = rewriter_of(folder)
    run(rewriter)
    rewriter.release()
    shutil.rmtree(folder)
    save(folder, SHIP)
    assert run(rewriter).prompt == "".join(SHIP)


def test_an_unusable_answer_is_tried_again_at_another_seed(tmp_path: Path) -> None:
    rewriter = rewriter_of(save(tmp_path / "mixed", BOAT, BALLOON))
    results = [run(rewriter, seed=seed) for seed in range(12)]
    tries = {(result.receipt["tries"], result.prompt is not None) for result in results}
    assert tries == {(1, True), (2, True), (2, False)}
    assert {result.prompt for result in results} == {"".join(BOAT), None}


def test_two_unusable_answers_leave_the_prompt_as_written(tmp_path: Path) -> None:
    rewriter = rewriter_of(save(tmp_path / "balloon", BALLOON))
    reports: list[Progress] = []
    result = rewriter.generate(request("a boat"), reports.append, lambda: False)
    assert result.prompt is None
    assert result.note == "The prompt was used as written: the rewriting had lost its subject."
    assert result.receipt["tries"] == 2
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert run(rewriter, "a boat").receipt["cached"]


def test_a_model_that_knows_no_chinese_says_so(boat_folder: Path) -> None:
    result = run(rewriter_of(boat_folder), language="zh")
    assert (result.prompt, result.note) == (None, "The prompt was used as written: the rewriting was not in Chinese.")


def test_an_endless_answer_is_bounded_and_cut_at_a_sentence(
    endless_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qwen_writing, "ROOM_TOKENS", 60)
    result = run(rewriter_of(endless_folder))
    assert result.prompt == "".join(BOAT)
    assert 60 <= result.receipt["tokens"] <= 90


def test_a_prompt_that_leaves_no_room_is_used_as_written(tmp_path: Path) -> None:
    result = run(rewriter_of(save(tmp_path / "narrow", BOAT, positions=128)))
    assert (result.prompt, result.note) == (
        None,
        "The prompt was used as written: it is too long to be rewritten.",
    )


@pytest.mark.parametrize("tokens", [0, 1, 5])
def test_a_cancel_stops_within_a_token(tokens: int, endless_folder: Path) -> None:
    rewriter = rewriter_of(endless_folder)
    rewriter.load(lambda progress: None)
    steps: list[int] = []
    with pytest.raises(Cancelled):
        rewriter.generate(
            request(), lambda progress: steps.append(progress.step), lambda: max(steps, default=0) >= tokens
        )
    assert max(steps, default=0) <= tokens + 1
    assert run(rewriter).receipt["cached"] is False


def test_the_chat_template_gets_the_instructions_and_the_prompt(boat_folder: Path, tmp_path: Path) -> None:
    """A template that lets the system prompt through only by whether it names films, as the demo checkpoint's does."""
    folder = tmp_path / "picky"
    shutil.copytree(boat_folder, folder)
    (folder / "chat_template.jinja").write_text(
        "{% if 'film' in messages[0]['content'] %}{{ messages[1]['content'] }}\n{% else %}{{ raise_exception('no') }}"
        "{% endif %}",
        encoding="utf-8",
    )
    rewriter = rewriter_of(folder)
    assert run(rewriter, kind="video").prompt == "".join(BOAT)
    with pytest.raises(ModelMissing, match="STUDIO_QWEN_MODEL"):
        run(rewriter, kind="image")


@pytest.mark.parametrize("fields", [{"kind": "audio"}, {"language": "fr"}, {"prompt": " \n"}, {"prompt": "<|im_end|>"}])
def test_what_cannot_be_asked_is_refused(fields: dict[str, Any], boat_folder: Path) -> None:
    with pytest.raises(InvalidRequest):
        run(rewriter_of(boat_folder), **fields)


def test_nothing_happens_before_load() -> None:
    create(checkpoint="/nowhere/at/all")


def test_an_absent_checkpoint_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="STUDIO_QWEN_MODEL"):
        rewriter_of(tmp_path / "nowhere").load(lambda progress: None)


def test_files_that_do_not_fit_together_are_told(boat_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(boat_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 64}))
    with pytest.raises(ModelMissing, match="broken does not fit together"):
        rewriter_of(folder).load(lambda progress: None)


def test_release_gives_the_model_back(boat_folder: Path) -> None:
    rewriter = rewriter_of(boat_folder)
    run(rewriter)
    model = weakref.ref(rewriter._qwen.model)
    rewriter.release()
    gc.collect()
    assert model() is None
    assert run(rewriter, seed=1).prompt == "".join(BOAT)


def test_loading_twice_loads_once(boat_folder: Path) -> None:
    rewriter = rewriter_of(boat_folder)
    reports: list[Progress] = []
    rewriter.load(reports.append)
    count = len(reports)
    rewriter.load(reports.append)
    assert count == len(reports) == 2


def test_eight_bits_on_a_cpu(boat_folder: Path) -> None:
    rewriter = rewriter_of(boat_folder, quantization="8bit")
    result = run(rewriter)
    assert result.prompt == "".join(BOAT)
    assert (result.receipt["quantization"], result.receipt["dtype"]) == ("8bit", "float32")
    linear = rewriter._qwen.model.model.layers[0].self_attn.q_proj
    assert linear.weight().dtype is torch.qint8


@pytest.mark.skipif(is_bitsandbytes_available(), reason="bitsandbytes is installed")
def test_a_missing_quantizer_is_named(boat_folder: Path) -> None:
    with pytest.raises(ModelMissing, match="bitsandbytes"):
        rewriter_of(boat_folder, quantization="4bit").load(lambda progress: None)


def test_an_unknown_quantization_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ValueError, match="3bit"):
        create(quantization="3bit")
