"""A message that is to be sent outlives the studio that was to send it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

import pytest

from tests.live import StudioServer, wait_for
from tests.receivers import receiving

pytestmark = pytest.mark.faults


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_killed_studio_sends_what_it_had_not_sent_yet_once(make_studio: Callable[..., StudioServer]) -> None:
    server = make_studio(STUDIO_WEBHOOK_NETWORKS="127.0.0.0/8")
    port = free_port()
    secret = server.client.get("/api/webhooks/job-secret").raise_for_status().json()["secret"]
    job = server.submit(width=64, height=64, steps=2, count=1, webhook_url=f"http://127.0.0.1:{port}/hook")
    server.wait_completed(job["id"])
    deliveries = f"/api/webhooks/deliveries?job={job['id']}"
    wait_for(lambda: bool(server.client.get(deliveries).json()["items"]), 30)
    server.stop(signal.SIGKILL)

    with receiving(port=port) as receiver:
        server.start()
        wait_for(lambda: server.client.get(deliveries).json()["items"][0]["status"] == "delivered", 60, server.log_tail)
        (delivery,) = server.client.get(deliveries).json()["items"]
        assert receiver.ids == [delivery["id"]]
        message = receiver.received[0].verified(secret)
        assert (message["type"], message["data"]["job"]["id"]) == ("job.completed", job["id"])
