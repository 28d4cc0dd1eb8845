"""What a page of the studio may load and run (Content Security Policy, level 3)."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser

OWN_PAGE = (
    "default-src 'none'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    "media-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
)
"""For every answer but Gradio's page: no script at all, so that nothing in a file or an error can ever run as one."""

GRADIO_PAGE = (
    "default-src 'none'",
    "script-src 'self' 'unsafe-eval' {hashes}",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "frame-src 'none'",
    "object-src 'none'",
    "form-action 'self'",
    "base-uri 'self'",
)
"""For Gradio's page. `unsafe-eval`: Gradio makes functions of the templates and scripts of its HTML components.
`unsafe-inline` for styles: its components carry style attributes. The page's own inline scripts are named by hash."""


def own_page_policy(frame_ancestors: str) -> str:
    """The policy of every answer but Gradio's page. `frame_ancestors` are the pages that may frame it."""
    return "; ".join((*OWN_PAGE, f"frame-ancestors {frame_ancestors}"))


def gradio_page_policy(html: str, frame_ancestors: str) -> str:
    """The policy of Gradio's page `html`: its inline scripts run, one that comes into it later does not."""
    hashes = " ".join(dict.fromkeys(f"'sha256-{digest}'" for digest in inline_script_hashes(html)))
    return "; ".join((*GRADIO_PAGE, f"frame-ancestors {frame_ancestors}")).format(hashes=hashes)


def inline_script_hashes(html: str) -> list[str]:
    """The SHA-256 of the text of each inline script of `html`, in base64, as browsers compute it."""
    reader = _InlineScripts()
    reader.feed(html.replace("\r\n", "\n"))
    reader.close()
    return [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in reader.scripts]


class _InlineScripts(HTMLParser):
    """Collects the text of every script element without a source."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.scripts: list[str] = []
        self._within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script" and "src" not in dict(attrs):
            self._within = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._within = False

    def handle_data(self, data: str) -> None:
        if self._within:
            self.scripts[-1] += data
