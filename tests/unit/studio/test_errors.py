from __future__ import annotations

import re

import pytest

from studio import errors
from studio.errors import InvalidInput, StudioError, TooLarge


def _all(kind: type[StudioError]) -> list[type[StudioError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in _all(child))]


def test_an_error_says_its_code_its_sentence_and_its_field():
    assert InvalidInput("Write a prompt.", field="prompt").as_json() == {
        "code": "invalid_input",
        "message": "Write a prompt.",
        "field": "prompt",
    }
    assert "field" not in InvalidInput("Write a prompt.").as_json()
    assert str(TooLarge("Too large.")) == "Too large."


@pytest.mark.parametrize("kind", _all(StudioError)[1:], ids=lambda kind: kind.__name__)
def test_the_list_at_the_top_of_the_module_is_true(kind):
    line = re.search(rf"\b{kind.__name__}\s+(\d+) (\w+)", errors.__doc__ or "")

    assert line is not None
    assert (int(line[1]), line[2]) == (kind.status, kind.code)


def test_the_statuses_are_those_of_the_contract():
    assert {kind.status for kind in _all(StudioError)} <= {400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503}


def test_a_limit_says_when_to_come_back():
    assert errors.RateLimited("Wait a moment.", retry_after_s=2.5).retry_after_s == 2.5
