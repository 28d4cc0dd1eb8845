"""What a test has to say at the end of the run, beside that it passed."""

from __future__ import annotations

TOLD = "told"
"""Name of the property, recorded by a test, whose value is a line of the summary."""
