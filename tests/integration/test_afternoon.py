"""Sixty jobs of all types from three people: lanes overlap, fast jobs come first, nobody starves, nothing stays."""

from __future__ import annotations

import threading
from pathlib import Path
from statistics import mean

import httpx
import psutil
import pytest

from tests.integration.afternoon import JOBS, PEOPLE, Run, order_all, record
from tests.integration.small_studio import ServedStudio

Claims = dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Run], Claims, Path]:
    """The record of the afternoon, the claims of every lane in their order, and the studio's folder after its stop."""
    folder = tmp_path_factory.mktemp("afternoon")
    claims: Claims = {}
    # Who is served when is settled among all orders: a slow machine could do Ana's before Ben comes.
    all_ordered = threading.Event()
    with ServedStudio(folder).serving() as served:
        for name in PEOPLE:
            served.studio.add_person(name)
        claim = served.studio.leases.claim

        def noted(lane: str):
            assert all_ordered.wait(120)
            found = claim(lane)
            if found is not None:
                claims.setdefault(lane, []).append((found.job_id, found.type))
            return found

        served.studio.leases.claim = noted
        with httpx.Client(base_url=served.url, timeout=120) as web:
            orders = order_all(web, sorted(served.studio.catalog.types))
            all_ordered.set()
            runs = record(web, orders)
    return runs, claims, folder


def test_every_job_is_completed(afternoon) -> None:
    runs, _, _ = afternoon

    assert [run.job["status"] for run in runs] == ["completed"] * JOBS
    assert all(run.job["attempt"] == 1 for run in runs)
    assert all((run.job["enhanced_prompt"] is not None) == run.job["type"].endswith("_enhanced") for run in runs)


def test_every_leg_runs_exactly_once(afternoon) -> None:
    runs, claims, _ = afternoon

    enhanced = {run.job["id"] for run in runs if run.job["type"].endswith("_enhanced")}
    wan = {run.job["id"] for run in runs if not run.job["type"].startswith("sdxl")}
    assert sorted(job_id for job_id, _ in claims["qwen"]) == sorted(enhanced)
    assert sorted(job_id for job_id, _ in claims["wan"]) == sorted(wan)
    assert len(claims["sdxl"]) == JOBS - len(wan)


def test_qwen_writes_while_wan_renders(afternoon) -> None:
    _, claims, _ = afternoon
    rewritten = [job_id for job_id, _ in claims["qwen"]]
    first_film = next(place for place, (job_id, _) in enumerate(claims["wan"]) if job_id in rewritten)

    # Were the lanes one after the other, all prompts would be written before the first film, or each just before its
    # own. Here films without rewriting were rendered meanwhile.
    assert first_film > 0


def test_fast_jobs_come_before_slow_ones_that_were_ordered_earlier(afternoon) -> None:
    places = _places(afternoon)

    assert mean(places["ben"]) < mean(places["ana"])


def test_nobody_starves(afternoon) -> None:
    places = _places(afternoon)

    # Slow films do not wait for the end of all fast ones, nor the last to come for the end of those before.
    assert places["ana"][0] < places["ben"][-1]
    assert places["ben"][0] < places["ana"][len(places["ana"]) // 2]
    assert places["cleo"][0] < places["ben"][-1]


def test_nothing_is_left_afterwards(afternoon) -> None:
    _, _, folder = afternoon

    assert not list((folder / "scratch").iterdir())
    children = psutil.Process().children(recursive=True)
    assert [child for child in children for file in child.open_files() if file.path.startswith(str(folder))] == []


def _places(afternoon) -> dict[str, list[int]]:
    """At which claims of the WAN lane each person was served."""
    runs, claims, _ = afternoon
    person_of = {run.job["id"]: run.person for run in runs}
    order = [person_of[job_id] for job_id, _ in claims["wan"]]
    return {name: [place for place, served in enumerate(order) if served == name] for name in PEOPLE}
