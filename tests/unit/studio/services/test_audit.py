from __future__ import annotations

import logging

import pytest

from studio.errors import InvalidInput
from studio.people import Origin

ODD = Origin(address="192.0.2.1\n", agent="agent\r\nforged: line\0" + "x" * 400)


def test_events_come_newest_first_a_page_at_a_time(door):
    root = door.admin()
    for number in range(5):
        door.parts.audit.note("tested", root, ODD, str(number), number=number)
    first = door.parts.audit.list(root, limit=3)
    second = door.parts.audit.list(root, limit=3, cursor=first["next"])

    assert [event["target"] for event in first["items"]] == ["4", "3", "2"]
    assert [event["target"] for event in second["items"]][:2] == ["1", "0"]
    assert first["items"][0]["details"] == {"number": 4}
    assert first["items"][0]["actor_id"] == root.id
    with pytest.raises(InvalidInput):
        door.parts.audit.list(root, limit=0)


def test_what_strangers_send_makes_no_line_of_its_own(door, caplog: pytest.LogCaptureFixture):
    root = door.admin()
    with caplog.at_level(logging.INFO, logger="studio.services.audit"):
        door.parts.audit.note("tested", "eve\nsign_in by root@example.org", ODD)
    event = door.parts.audit.list(root, limit=1)["items"][0]

    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert event["actor"] == "eve sign_in by root@example.org"
    assert event["actor_id"] is None
    assert event["agent"].startswith("agent  forged: line ")
    assert len(event["agent"]) == 300


def test_events_outlive_those_they_name(door):
    root, ann = door.admin(), door.member("ann")
    door.accounts.delete(root, ann.id, ODD)

    assert ("sign_up", "ann@example.org", ann.id) in door.audited(root)
    assert ("account_deleted", "root@example.org", ann.id) in door.audited(root)
