from __future__ import annotations

from typing import Any

import pytest

from studio.errors import Conflict, InvalidInput, NotFound
from studio.services.projects import ProjectService

UNKNOWN = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def projects(desk: Any) -> ProjectService:
    return ProjectService(desk.database)


def names(projects: ProjectService, person: Any) -> list[str]:
    return [project["name"] for project in projects.list(person)]


def test_projects_are_made_listed_by_name_renamed_and_removed(projects: ProjectService, desk: Any) -> None:
    boats = projects.create(desk.alice, "  red   boats ")
    projects.create(desk.alice, "Animals")
    assert boats["name"] == "red boats"
    assert names(projects, desk.alice) == ["Animals", "red boats"]
    assert projects.rename(desk.alice, boats["id"], "Ships")["name"] == "Ships"
    projects.delete(desk.alice, boats["id"])
    assert names(projects, desk.alice) == ["Animals"]


def test_names_are_ones_own(projects: ProjectService, desk: Any) -> None:
    first = projects.create(desk.alice, "Boats")
    projects.create(desk.bob, "Boats")
    with pytest.raises(Conflict, match="Boats"):
        projects.create(desk.alice, "Boats")
    other = projects.create(desk.alice, "Cars")
    with pytest.raises(Conflict):
        projects.rename(desk.alice, other["id"], "Boats")
    assert projects.rename(desk.alice, first["id"], "Boats")["name"] == "Boats"


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "bell\x07"])
def test_bad_names_are_refused(projects: ProjectService, desk: Any, name: str) -> None:
    with pytest.raises(InvalidInput):
        projects.create(desk.alice, name)


def test_assets_are_counted_and_stay_when_their_project_goes(projects: ProjectService, desk: Any) -> None:
    boats = projects.create(desk.alice, "Boats")
    job = desk.submit(desk.alice, project=boats["id"], count=2)
    desk.deliver(desk.claim())
    assert projects.list(desk.alice)[0]["assets"] == 2
    assert projects.rename(desk.alice, boats["id"], "Ships")["assets"] == 2
    projects.delete(desk.alice, boats["id"])
    assert [row.project_id for row in desk.asset_rows(job["id"])] == [None, None]
    assert desk.row(job["id"]).project_id is None


@pytest.mark.parametrize("owner", ["somebody else", "nobody"])
def test_a_strangers_project_is_not_found(projects: ProjectService, desk: Any, owner: str) -> None:
    project_id = projects.create(desk.bob, "Theirs")["id"] if owner == "somebody else" else UNKNOWN
    with pytest.raises(NotFound):
        projects.rename(desk.alice, project_id, "Mine")
    with pytest.raises(NotFound):
        projects.delete(desk.alice, project_id)
    assert names(projects, desk.alice) == []
    assert names(projects, desk.bob) == (["Theirs"] if owner == "somebody else" else [])
