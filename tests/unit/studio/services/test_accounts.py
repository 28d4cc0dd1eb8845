from __future__ import annotations

from studio.services.accounts import local_person


def test_local_mode_has_one_person_made_once(database):
    first = local_person(database)

    assert (first.role, first.is_admin) == ("admin", True)
    assert local_person(database) == first


def test_people_of_other_modes_are_not_mistaken_for_the_local_one(desk):
    assert local_person(desk.database).id not in (desk.alice.id, desk.bob.id)
