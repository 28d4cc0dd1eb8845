from __future__ import annotations

import errno
import urllib.error
from email.message import Message

import pytest

from queue_backend import messages
from queue_backend.worker import build, failure, is_fatal


def test_a_code_that_is_not_text_is_not_public():
    error = urllib.error.HTTPError("http://localhost", 404, "Not Found", Message(), None)
    with error:
        failed = failure("one", error)
    assert failed.code == "internal"
    assert "Not Found" not in failed.message


def test_the_device_out_of_memory_is_known_by_its_name():
    class OutOfMemoryError(RuntimeError):
        pass

    failed = failure("one", OutOfMemoryError("Tried to allocate 2 GiB"))
    assert (failed.code, failed.fatal) == ("out_of_memory", False)


def sample() -> None:
    try:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    except RuntimeError as error:
        raise ValueError("The sampler failed.") from error


def test_a_device_error_is_fatal_however_deep_it_lies():
    with pytest.raises(ValueError, match="sampler") as raised:
        sample()
    assert is_fatal(raised.value)
    assert failure("one", raised.value).transient
    assert not is_fatal(ValueError("The sampler failed."))


def test_the_factory_gets_the_options_as_keywords():
    spec = messages.WorkerSpec(lane="lane", factory="types:SimpleNamespace", options={"folder": "models"})
    assert build(spec).folder == "models"


@pytest.mark.parametrize("factory", ["nowhere:thing", "types:nothing", "types"])
def test_a_factory_that_does_not_exist_raises(factory: str):
    with pytest.raises((ImportError, AttributeError)):
        build(messages.WorkerSpec(lane="lane", factory=factory))


def test_a_full_disk_is_told_as_such():
    failed = failure("run", OSError(errno.ENOSPC, "No space left on device"))
    assert (failed.code, failed.transient) == ("storage_full", False)
