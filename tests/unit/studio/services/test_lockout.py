from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select, update

from studio.database.engine import Database
from studio.database.schema import FailedSignIn
from studio.errors import RateLimited
from studio.services import lockout
from studio.services.lockout import ACCOUNT_FAILURES, ADDRESS_FAILURES, LOCK_S, WINDOW_S, Lockout, account_key
from studio.services.lockout import address_key as key_of

ANN, HOME = account_key("ann@example.org"), key_of("192.0.2.1")


@pytest.fixture
def guard(database: Database) -> Lockout:
    return Lockout(database)


def _age(database: Database, by_s: float) -> None:
    """Let so much time pass for all rows."""
    with database.as_system() as session:
        columns: dict[Any, Any] = {
            FailedSignIn.first_at: FailedSignIn.first_at - by_s,
            FailedSignIn.locked_until: FailedSignIn.locked_until - by_s,
        }
        session.execute(update(FailedSignIn).values(columns))


def test_an_account_is_locked_after_its_last_try(guard: Lockout):
    tried = [guard.begin([ANN, HOME]) for _ in range(ACCOUNT_FAILURES)]

    assert tried == [[]] * (ACCOUNT_FAILURES - 1) + [[ANN]]
    with pytest.raises(RateLimited) as refused:
        guard.begin([ANN, HOME])
    assert LOCK_S - 60 < (refused.value.retry_after_s or 0) <= LOCK_S


def test_others_of_the_same_address_go_on(guard: Lockout):
    for _ in range(ACCOUNT_FAILURES):
        guard.begin([ANN, HOME])

    assert guard.begin([account_key("ben@example.org"), HOME]) == []


def test_an_address_is_locked_that_tries_many_accounts(guard: Lockout):
    for number in range(ADDRESS_FAILURES):
        guard.begin([account_key(f"{number}@example.org"), HOME])

    with pytest.raises(RateLimited):
        guard.begin([ANN, HOME])
    assert guard.begin([ANN, key_of("192.0.2.2")]) == []


def test_a_lock_ends(guard: Lockout, database: Database):
    for _ in range(ACCOUNT_FAILURES):
        guard.begin([ANN])
    _age(database, LOCK_S + 1)

    assert [guard.begin([ANN]) for _ in range(ACCOUNT_FAILURES - 1)] == [[]] * (ACCOUNT_FAILURES - 1)


def test_few_failures_are_forgotten_after_a_while(guard: Lockout, database: Database):
    for _ in range(ACCOUNT_FAILURES - 1):
        guard.begin([ANN])
    _age(database, WINDOW_S + 1)

    assert guard.begin([ANN]) == []


def test_the_right_password_clears_the_account_and_takes_back_one_try_of_the_address(
    guard: Lockout, database: Database
):
    for _ in range(3):
        guard.begin([ANN, HOME])
    guard.succeeded(ANN, HOME)

    with database.as_system(write=False) as session:
        rows = {row.key: row.failures for row in session.scalars(select(FailedSignIn))}
    assert rows == {HOME: 2}


def test_ones_own_account_does_not_unlock_an_address(guard: Lockout):
    for number in range(ADDRESS_FAILURES - 1):
        guard.begin([account_key(f"{number}@example.org"), HOME])
        if number % 5 == 0:
            guard.begin([ANN, HOME])
            guard.succeeded(ANN, HOME)
    guard.begin([account_key("last@example.org"), HOME])

    with pytest.raises(RateLimited):
        guard.begin([ANN, HOME])


def test_a_right_last_try_is_not_locked_out(guard: Lockout):
    for _ in range(ACCOUNT_FAILURES):
        guard.begin([ANN, HOME])
    guard.succeeded(ANN, HOME)

    assert guard.begin([ANN, HOME]) == []


def test_tries_at_once_are_all_counted(guard: Lockout):
    let_in: list[int] = []
    start = threading.Barrier(8)

    def try_often() -> None:
        start.wait()
        for _ in range(5):
            try:
                guard.begin([ANN, HOME])
                let_in.append(1)
            except RateLimited:
                pass

    threads = [threading.Thread(target=try_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(let_in) == ACCOUNT_FAILURES


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool):
    assert (key_of(one) == key_of(other)) is same


def test_an_account_has_one_key_however_its_address_is_written():
    assert account_key(" Ann@Example.ORG") == ANN
    assert account_key("ann@example.org\ud800") != ANN
    assert "ann" not in ANN


def test_what_counts_no_more_is_removed(guard: Lockout, database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lockout, "LOCK_S", 10 * LOCK_S)
    guard.begin([HOME])
    for _ in range(ACCOUNT_FAILURES):
        guard.begin([ANN])
    assert guard.forget_old() == 0
    _age(database, WINDOW_S + 1)

    assert guard.forget_old() == 1
    with pytest.raises(RateLimited):
        guard.begin([ANN])
