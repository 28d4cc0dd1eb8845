"""`make bench`: measure the studio on this machine, print a table and write bench/results.json.

These machines are noisy: what is compared is measured in turn within one run and reported as a ratio.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from bench import database, films, memory, pictures, server
from bench.measure import Row

RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    rows: list[Row] = []
    suites: tuple[Callable[[Path], Iterable[Row]], ...] = (
        database.measure,
        server.measure,
        pictures.measure,
        films.measure,
        memory.measure,
    )
    with tempfile.TemporaryDirectory() as folder:
        for suite in suites:
            scratch = Path(folder) / suite.__module__
            scratch.mkdir()
            for row in suite(scratch):
                print(f"{row.name:<58} {row.value:>10.3f} {row.unit:<8} {row.note}", flush=True)
                rows.append(row)
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "rows": [row.as_json() for row in rows],
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
