"""Numbers as the commands print them."""

from __future__ import annotations


def gigabytes(count: int) -> str:
    """A number of bytes as people read it: decimal gigabytes, or megabytes where there is less than one."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
