from __future__ import annotations

import subprocess
import sys

from studio.services.owners import is_dead, this_process


def test_the_own_process_is_alive():
    assert not is_dead(this_process())


def test_a_process_that_ended_is_dead_even_before_it_is_reaped():
    script = "from studio.services.owners import this_process; print(this_process(), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    owner = process.stdout.readline().strip()
    assert not is_dead(owner)
    process.kill()
    process.communicate()

    assert is_dead(owner)


def test_a_reused_process_id_does_not_bring_the_dead_back():
    host, pid, started_at = this_process().rsplit(":", 2)

    assert is_dead(f"{host}:{pid}:{float(started_at) - 100:.2f}")


def test_of_other_hosts_nothing_is_known():
    assert not is_dead("another:1:1.0")
