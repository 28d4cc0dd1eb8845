from __future__ import annotations

import socket

import psutil
import pytest

from queue_backend.messages import WorkerSpec
from queue_backend.spawning import LOG_ROTATE_BYTES, LOG_TAIL_LINES, explain, kill_group, read_tail, rotate, spawn
from tests.live import wait_for


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [
        (None, "has not ended"),
        (0, "exited by itself with code 0"),
        (70, "left after an error that ruined its device context"),
        (-9, "was killed (signal 9, SIGKILL), likely by the system for lack of memory"),
        (-6, "crashed in native code (signal 6, SIGABRT)"),
        (-15, "was ended from outside (signal 15, SIGTERM)"),
        (-99, "was ended from outside (signal 99, unknown)"),
    ],
)
def test_an_exit_code_in_words(exit_code, words):
    assert explain(exit_code) == words


def test_the_tail_holds_this_process_s_last_lines(tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("an older process\n")
    start = log.stat().st_size
    log.write_text("an older process\n" + "".join(f"line {number}\n" for number in range(100)))
    lines = read_tail(log, start).splitlines()
    assert len(lines) == LOG_TAIL_LINES
    assert lines[-1] == "line 99"
    log.write_text("an older process\nnew\n")
    assert read_tail(log, start) == "new"
    assert read_tail(tmp_path / "missing.log", 0) == ""


def test_a_large_log_is_put_aside(tmp_path):
    log = tmp_path / "logs" / "worker.log"
    rotate(log)
    log.write_bytes(b"short")
    rotate(log)
    assert log.read_bytes() == b"short"
    log.write_bytes(b"x" * (LOG_ROTATE_BYTES + 1))
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "logs" / "worker.old.log").stat().st_size == LOG_ROTATE_BYTES + 1


@pytest.mark.parametrize(("set_by_hand", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_of_workers_leave_the_cores_to_each_other(tmp_path, monkeypatch, set_by_hand, policy):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if set_by_hand:
        monkeypatch.setenv("OMP_WAIT_POLICY", set_by_hand)
    ours, its = socket.socketpair()
    with ours, its:
        child = spawn(WorkerSpec(lane="lane", factory="types:SimpleNamespace"), its.fileno(), tmp_path / "worker.log")
        try:
            process = psutil.Process(child.pid)
            wait_for(lambda: "queue_backend.worker" in process.cmdline(), 20)  # until then it is still becoming it
            assert process.environ()["OMP_WAIT_POLICY"] == policy
        finally:
            kill_group(child.pid)
            child.wait(20)
