from __future__ import annotations

import threading

import pytest
from pwdlib.hashers.argon2 import Argon2Hasher

from studio.errors import InvalidInput
from studio.services.passwords import MAX_HASHING_AT_ONCE, Passwords


class CountingHasher(Argon2Hasher):
    """argon2id that counts, and keeps who hashes waiting until `go` is set."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0
        self.inside = 0
        self.most_inside = 0
        self.go = threading.Event()
        self.go.set()
        self._lock = threading.Lock()

    def verify(self, password: str | bytes, kept: str | bytes) -> bool:
        with self._lock:
            self.verified += 1
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.go.wait(10)
        with self._lock:
            self.inside -= 1
        return super().verify(password, kept)


@pytest.fixture
def counting() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def passwords(counting: CountingHasher) -> Passwords:
    return Passwords(counting)


def test_the_right_password_fits_and_no_other(passwords: Passwords):
    kept = passwords.hash("correct horse")

    assert kept.startswith("$argon2id$")
    assert kept != passwords.hash("correct horse")
    assert passwords.verify("correct horse", kept)
    assert not passwords.verify("Correct horse", kept)


def test_hashes_cost_what_the_library_recommends():
    assert "m=65536,t=3,p=4" in Passwords().hash("correct horse")


def test_no_account_takes_as_many_hashes_as_a_wrong_password(passwords: Passwords, counting: CountingHasher):
    assert not passwords.verify("correct horse", None)
    assert counting.verified == 1
    assert not passwords.verify("x" * 1000, passwords.hash("x" * 200))
    assert counting.verified == 2


def test_an_accent_may_be_sent_in_either_way(passwords: Passwords):
    assert passwords.verify("cafe\u0301 de paris", passwords.hash("caf\u00e9 de paris"))


def test_any_text_can_be_tried(passwords: Passwords):
    assert not passwords.verify("\ud800\0", passwords.hash("correct horse"))
    assert not passwords.verify("", passwords.hash("correct horse"))


@pytest.mark.parametrize("unfit", ["", "seven77", "x" * 201, "ann@example.org", "Ann@Example.org "])
def test_unfit_passwords_are_refused_in_words(passwords: Passwords, unfit: str):
    with pytest.raises(InvalidInput) as refused:
        passwords.check(unfit, "ann@example.org")

    assert refused.value.field == "password"


def test_the_shortest_and_the_longest_are_taken(passwords: Passwords):
    passwords.check("x" * 8, "ann@example.org")
    passwords.check("x" * 200, None)


def test_few_hash_at_once(passwords: Passwords, counting: CountingHasher):
    counting.go.clear()
    threads = [threading.Thread(target=passwords.verify, args=("guess", None)) for _ in range(8)]
    for thread in threads:
        thread.start()
    threading.Timer(0.1, counting.go.set).start()
    for thread in threads:
        thread.join()

    assert counting.verified == 8
    assert counting.most_inside <= MAX_HASHING_AT_ONCE
