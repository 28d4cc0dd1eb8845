"""What is kept of outside issuers, and how seldom they are asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from studio.errors import Unavailable
from studio.services import issuers
from studio.services.issuers import KEPT_S, RETRY_S, USABLE_S, Kept, ask, read
from tests.integration.issuer import Issuer, issuing


class Source:
    """Counts how often it is asked; raises while it is shut."""

    def __init__(self) -> None:
        self.now, self.asked, self.shut = 1000.0, 0, False
        self.kept: Kept[int] = Kept(self.read, lambda: self.now)

    def read(self) -> int:
        self.asked += 1
        if self.shut:
            raise Unavailable("shut")
        return self.asked


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as one:
        yield one


def test_a_value_is_read_once_and_again_when_it_is_old(source: Source):
    assert [source.kept.get() for _ in range(3)] == [1, 1, 1]
    source.now += KEPT_S
    assert [source.kept.get() for _ in range(3)] == [2, 2, 2]


def test_what_does_not_suffice_is_read_again_but_not_with_every_call(source: Source):
    assert source.kept.get() == 1
    assert [source.kept.get(lambda value: value > 5) for _ in range(100)] == [1] * 100
    source.now += RETRY_S
    assert [source.kept.get(lambda value: value > 5) for _ in range(100)] == [2] * 100
    assert source.asked == 2


def test_what_is_known_bridges_an_outage_for_a_while(source: Source):
    source.kept.get()
    source.shut = True
    source.now += KEPT_S
    assert source.kept.get() == 1
    source.now += USABLE_S
    with pytest.raises(Unavailable) as refused:
        source.kept.get()
    assert refused.value.retry_after_s
    source.shut, source.now = False, source.now + RETRY_S
    assert source.kept.get() == source.asked


def test_an_outage_from_the_start_is_asked_about_seldom(source: Source):
    source.shut = True
    for _ in range(50):
        with pytest.raises(Unavailable):
            source.kept.get()
    assert source.asked == 1


def test_nobody_waits_for_a_slow_issuer_while_something_is_known():
    began, go_on = threading.Event(), threading.Event()
    now = [0.0]

    def read_anew() -> int:
        if now[0]:
            began.set()
            assert go_on.wait(30)
        return 1

    kept: Kept[int] = Kept(read_anew, lambda: now[0])
    kept.get()
    now[0] = KEPT_S
    slow = threading.Thread(target=kept.get)
    slow.start()
    assert began.wait(30)
    assert kept.get() == 1, "this one returned while the other still waits"
    assert slow.is_alive()
    go_on.set()
    slow.join(30)


def test_answers_are_bounded_in_size_and_must_be_objects(issuer: Issuer, monkeypatch: pytest.MonkeyPatch):
    assert read(f"{issuer.url}/oauth/keys")["keys"]
    assert ask("GET", f"{issuer.url}/nowhere") == (404, {})
    with pytest.raises(Unavailable):
        read(f"{issuer.url}/nowhere")
    with pytest.raises(Unavailable):
        read(f"{issuer.url}/oauth/authorize?redirect_uri=http://127.0.0.1&state=1")
    monkeypatch.setattr(issuers, "MAX_ANSWER_BYTES", 10)
    with pytest.raises(Unavailable):
        read(f"{issuer.url}/oauth/keys")


def test_an_issuer_that_is_not_there_is_unavailable():
    with pytest.raises(Unavailable) as refused:
        read("http://127.0.0.1:9/keys")
    assert "Try again" in refused.value.message
