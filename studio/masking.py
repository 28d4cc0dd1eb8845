"""Takes secrets out of what is about to be logged: keys, tokens, passwords, cookies, one-time links."""

from __future__ import annotations

import logging
import re

MASK = "***"

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The studio's API keys and Hugging Face's tokens: what is left of them tells which one it was.
    (re.compile(r"\b(ovz_|hf_)[A-Za-z0-9_-]{8,}"), rf"\1{MASK}"),
    # JSON Web Tokens (RFC 7519): a header in base64 begins with eyJ.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    # Access keys of object stores.
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1\2{MASK}"),
    # scheme://user:password@host
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@'\"]*):[^\s@'\"]+@"), rf"\1:{MASK}@"),
    (re.compile(r"(/(?:setup|reset|signup|invite)/)[A-Za-z0-9_.~-]{8,}"), rf"\1{MASK}"),
    # name=value, name: value, "name": "value", (b'name', b'value'); what is quoted ends with its quotation mark.
    (
        re.compile(
            r"""(?ix) (\b[a-z0-9_.-]* (?:password|passwd|secret|token|api[_-]?key|access[_-]?key|invitation) [a-z0-9_-]*
            ['"]? \s* [=:,] \s* b?) (?: "[^"\n]*" | '[^'\n]*' | [^\s&;,'"\])}]+ )"""
        ),
        rf"\1{MASK}",
    ),
    # A cookie header is secret as a whole; alone, the studio's cookies are known by their names.
    (re.compile(r"""(?i)(\b(?:set-)?cookie['"]?\s*[:=,]\s*b?['"]?)[^\n'"]+"""), rf"\1{MASK}"),
    (re.compile(r"((?:__Host-)?studio(?:-guest|-outside)?=)[^\s;'\"]+"), rf"\1{MASK}"),
)


def masked(text: str) -> str:
    """`text` with every secret in it replaced by `MASK`. Errs on the side of hiding too much."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class MaskingFormatter(logging.Formatter):
    """A formatter whose lines hold no secrets, wherever they came from: the message, its arguments or a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))
