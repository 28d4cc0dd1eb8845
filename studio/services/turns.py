"""The order within a lane."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from studio.database.schema import Job, Lane


def next_turn(session: Session, lane: str, user_id: str, cost_s: float) -> float:
    """The place of a new job in the lane's weighted fair queue (start-time fair queueing: Goyal, Vin, Cheng 1996).

    One person's jobs follow each other by their cost; a person who has none waiting starts at the lane's clock, so
    neither an idle time nor a long queue of somebody else counts against them.
    """
    row = session.get(Lane, lane, with_for_update=True)
    if row is None:
        row = Lane(name=lane, clock=0.0)
        session.add(row)
    waiting = select(func.max(Job.turn)).where(Job.lane == lane, Job.user_id == user_id, Job.status == "pending")
    return max(row.clock, session.scalar(waiting) or 0.0) + cost_s
