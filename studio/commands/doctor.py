"""`python app.py doctor`: what is found, what is missing and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from studio import VERSION
from studio.commands.findings import Finding, State, ok
from studio.commands.machine_checks import machine_findings
from studio.commands.studio_checks import studio_findings
from studio.commands.units import gigabytes
from studio.devices import device_budgets
from studio.settings import Settings

SUBJECT_WIDTH = 14
STATE_WIDTH = max(map(len, State))


def main(settings: Settings) -> int:
    """Print the findings and return the exit code: 1 where the studio could not start."""
    print(f"OurVidz Studio {VERSION}")
    counts = dict.fromkeys(State, 0)
    for finding in _findings(settings):
        counts[finding.state] += 1
        print(as_lines(finding), flush=True)
    problems = counts[State.PROBLEM]
    if problems:
        print(f"The studio cannot start: {problems} {'problem' if problems == 1 else 'problems'}.")
        return 1
    hints = counts[State.ADVICE]
    print(f"The studio can start. {f'{hints} of these could be better.' if hints else 'Nothing is missing.'}")
    return 0


def as_lines(finding: Finding) -> str:
    """One line, and below it what to do where there is something to do."""
    head = f"{finding.state:<{STATE_WIDTH}}  {finding.subject:<{SUBJECT_WIDTH}} {finding.text}"
    margin = " " * (STATE_WIDTH + SUBJECT_WIDTH + 3)
    return f"{head}\n{margin}-> {finding.to_do}" if finding.to_do else head


def _findings(settings: Settings) -> Iterator[Finding]:
    yield from machine_findings(settings)
    yield _budgets(settings)
    yield from studio_findings(settings)


def _budgets(settings: Settings) -> Finding:
    budgets = device_budgets(settings)
    return ok("Budget", ", ".join(f"{gigabytes(count)} on {device}" for device, count in budgets.items()))
