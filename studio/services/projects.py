"""Projects: named shelves for a person's jobs and assets."""

from __future__ import annotations

import unicodedata
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from studio.database.engine import Database, db_now
from studio.database.schema import Asset, Project
from studio.errors import Conflict, InvalidInput, NotFound
from studio.people import Person
from studio.services.views import iso

MAX_NAME_CHARS = 80
MAX_PROJECTS = 500


class ProjectService:
    """Lists, makes, renames and removes projects. Names are unique for each person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, person: Person) -> list[dict[str, Any]]:
        """The person's projects by name, each with the number of its assets outside the trash."""
        kept = select(func.count(Asset.id)).where(Asset.project_id == Project.id, Asset.trashed_at.is_(None))
        with self._database.as_person(person, write=False) as session:
            query = select(Project, kept.scalar_subquery()).order_by(func.lower(Project.name), Project.id)
            return [_json(project, count) for project, count in session.execute(query)]

    def get(self, person: Person, project_id: str) -> dict[str, Any]:
        """One project. Raises NotFound."""
        with self._database.as_person(person, write=False) as session:
            return _json(_project(session, project_id), _assets_in(session, project_id))

    def create(self, person: Person, name: str) -> dict[str, Any]:
        """Make a project. Raises InvalidInput for the name, Conflict for one that exists."""
        tidy = _tidy(name)
        with self._database.as_person(person) as session:
            if (session.scalar(select(func.count(Project.id))) or 0) >= MAX_PROJECTS:
                raise Conflict(f"There are {MAX_PROJECTS} projects already. Remove one first.")
            now = session.execute(select(db_now())).scalar_one()
            project = Project(user_id=person.id, name=tidy, created_at=now)
            session.add(project)
            _flush(session, tidy)
            return _json(project, 0)

    def rename(self, person: Person, project_id: str, name: str) -> dict[str, Any]:
        """Give a project another name. Raises NotFound, InvalidInput, Conflict."""
        tidy = _tidy(name)
        with self._database.as_person(person) as session:
            project = _project(session, project_id)
            project.name = tidy
            _flush(session, tidy)
            return _json(project, _assets_in(session, project_id))

    def delete(self, person: Person, project_id: str) -> None:
        """Remove a project. Its jobs and assets stay, without one. Raises NotFound."""
        with self._database.as_person(person) as session:
            session.delete(_project(session, project_id))


def _assets_in(session: Session, project_id: str) -> int:
    """How many of its assets are outside the trash."""
    kept = select(func.count(Asset.id)).where(Asset.project_id == project_id, Asset.trashed_at.is_(None))
    return session.scalar(kept) or 0


def _json(project: Project, assets: int) -> dict[str, Any]:
    return {"id": project.id, "name": project.name, "created_at": iso(project.created_at), "assets": assets}


def _tidy(name: str) -> str:
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= MAX_NAME_CHARS:
        raise InvalidInput(f"A project's name has 1 to {MAX_NAME_CHARS} characters.", field="name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in tidy):
        raise InvalidInput("A project's name has no control characters.", field="name")
    return tidy


def _project(session: Session, project_id: str) -> Project:
    project = session.get(Project, project_id)
    if project is None:
        raise NotFound("There is no such project.")
    return project


def _flush(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is a project named {name!r} already.", field="name") from error
