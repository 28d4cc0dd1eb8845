"""Who may use the studio. In local mode that is one person, who needs no sign-in."""

from __future__ import annotations

from sqlalchemy import select

from studio.database.engine import Database, db_now
from studio.database.schema import UserProfile
from studio.people import Person

LOCAL_NAME = "You"


def local_person(database: Database) -> Person:
    """The one person of local mode, an admin. Made once; every later call returns the same."""
    with database.as_system() as session:
        mine = select(UserProfile).where(UserProfile.email.is_(None), UserProfile.role == "admin")
        profile = session.scalars(mine.order_by(UserProfile.id).limit(1)).first()
        if profile is None:
            now = session.execute(select(db_now())).scalar_one()
            profile = UserProfile(display_name=LOCAL_NAME, role="admin", created_at=now)
            session.add(profile)
            session.flush()
        return Person(id=profile.id, role=profile.role, display_name=profile.display_name)
