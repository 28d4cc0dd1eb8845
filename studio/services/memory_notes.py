"""How much more or less memory runs took than was reckoned, kept over restarts."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sqlalchemy import select

from studio.database.engine import Database, db_now
from studio.database.schema import MemoryMeasurement

SMALLER_COUNTS = 0.2
"""How far a smaller measurement moves what is remembered: one short run says little about the next."""


@dataclass(frozen=True, kw_only=True)
class _Note:
    ratio: float
    samples: int


class MemoryNotes:
    """Ratios of measured to reckoned memory by key; 1 until something was measured. Safe to use from any thread."""

    def __init__(self, database: Database | None) -> None:
        """Without a database nothing is loaded or saved."""
        self._database = database
        self._lock = threading.Lock()
        self._notes: dict[str, _Note] = {}
        self._unsaved: set[str] = set()

    def load(self) -> None:
        """Read what earlier runs of the studio learned."""
        if self._database is None:
            return
        with self._database.as_system(write=False) as session:
            rows = session.scalars(select(MemoryMeasurement)).all()
        with self._lock:
            self._notes = {row.key: _Note(ratio=row.ratio, samples=row.samples) for row in rows}
            self._unsaved.clear()

    def ratio(self, key: str) -> float:
        """What is remembered under `key`."""
        with self._lock:
            note = self._notes.get(key)
        return note.ratio if note else 1.0

    def note(self, key: str, ratio: float) -> None:
        """Remember a measurement: a first or larger one as it is, a smaller one by a part of the way."""
        with self._lock:
            known = self._notes.get(key)
            if known is None or ratio >= known.ratio:
                kept = ratio
            else:
                kept = known.ratio + SMALLER_COUNTS * (ratio - known.ratio)
            self._notes[key] = _Note(ratio=kept, samples=known.samples + 1 if known else 1)
            self._unsaved.add(key)

    def save(self) -> None:
        """Write what is new. Blocks on the database."""
        with self._lock:
            new = {key: self._notes[key] for key in self._unsaved}
            self._unsaved.clear()
        if self._database is None or not new:
            return
        try:
            with self._database.as_system() as session:
                for key, note in new.items():
                    session.merge(
                        MemoryMeasurement(key=key, ratio=note.ratio, samples=note.samples, updated_at=db_now())
                    )
        except BaseException:
            with self._lock:
                self._unsaved.update(new)
            raise
