"""A mixed afternoon: jobs of all types from three people, and what their record says in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.small_studio import WHO

PEOPLE = ("ana", "cleo", "ben")
"""In the order in which they come: Ana wants high quality only, Cleo everything, Ben fast jobs only."""
EACH = 20
JOBS = len(PEOPLE) * EACH
PROMPTS = ("a boat sails left at night", "a red balloon rises over the snow", "clouds drift over a green meadow")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One job as it was recorded, and who ordered it."""

    person: str
    job: dict[str, Any]


def order_all(web: httpx.Client, types: list[str]) -> list[tuple[str, str]]:
    """Order EACH jobs of each person, one person after the other. Returns (person, job id)s."""
    wishes = {
        "ana": [name for name in types if "high" in name],
        "cleo": types,
        "ben": [name for name in types if "fast" in name],
    }
    orders = []
    for person in PEOPLE:
        for number in range(EACH):
            body = {
                "prompt": PROMPTS[number % len(PROMPTS)],
                "job_type": wishes[person][number % len(wishes[person])],
                "count": 1,
                "seed": number,
            }
            answer = web.post("/api/queue-job", json=body, headers={WHO: person})
            assert answer.status_code == 201, answer.text
            orders.append((person, answer.json()["id"]))
    return orders


def record(web: httpx.Client, orders: list[tuple[str, str]]) -> list[Run]:
    """Wait for every order and return what became of them."""
    runs = []
    for person, job_id in orders:
        while True:
            answer = web.get(f"/api/jobs/{job_id}/wait", params={"timeout_s": 60}, headers={WHO: person})
            if answer.json()["status"] in {"completed", "failed", "cancelled"}:
                break
        runs.append(Run(person=person, job=answer.json()))
    return runs
