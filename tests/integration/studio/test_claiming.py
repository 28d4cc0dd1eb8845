"""Four processes and a thousand jobs: each is claimed exactly once, and nobody meets a locked database."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from sqlalchemy import select

from studio.database.engine import Database, next_revision
from studio.database.schema import Job, UserProfile

JOBS = 1000
PROCESSES = 4
CLAIMER = """
import sys
from studio.database.engine import Database
from studio.services.leases import JobLeases

leases = JobLeases(Database(sys.argv[1]), "host:1:1.0")
print("ready", flush=True)
sys.stdin.readline()
while (claim := leases.claim("sdxl")) is not None:
    print(claim.job_id, claim.lease_token)
"""


def _fill(database: Database) -> set[str]:
    config = {"width": 64, "height": 64, "steps": 1, "guidance": 0, "seed": 1, "count": 1, "scheduler": "euler"}
    with database.as_system() as session:
        session.add(UserProfile(id="ann", display_name="Ann", role="admin", created_at=0.0))
        session.flush()
        for turn in range(JOBS):
            session.add(
                Job(
                    user_id="ann",
                    type="sdxl_image_fast",
                    lane="sdxl",
                    quality="fast",
                    prompt="x",
                    config=config,
                    turn=float(turn),
                    cost_s=1.0,
                    created_at=0.0,
                    revision=next_revision(session),
                )
            )
    with database.as_system(write=False) as session:
        return set(session.scalars(select(Job.id)))


def test_each_of_a_thousand_jobs_is_claimed_by_exactly_one_of_four_processes(database_url: str):
    database = Database(database_url)
    database.migrate()
    ids = _fill(database)
    command = [sys.executable, "-c", CLAIMER, database_url]
    claimers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"

    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    answers = [claimer.communicate() for claimer in claimers]

    assert [errors for _, errors in answers] == [""] * PROCESSES
    claimed = [line.split() for output, _ in answers for line in output.splitlines()]
    assert Counter(job for job, _ in claimed) == Counter(ids)
    assert len({token for _, token in claimed}) == JOBS
    shares = [len(output.splitlines()) for output, _ in answers]
    assert sum(share > 0 for share in shares) > 1, "the processes must really have competed"
    with database.as_system(write=False) as session:
        rows = session.scalars(select(Job)).all()
    assert {(row.status, row.attempt) for row in rows} == {("processing", 1)}
    assert len({row.revision for row in rows}) == JOBS
    database.close()
