"""What pages may run: the inline scripts that are there, by hash, and nothing that comes later."""

from __future__ import annotations

import base64
import hashlib

from studio.web.content_security import gradio_page_policy, inline_script_hashes, own_page_policy


def hash_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_each_inline_script_is_hashed_as_it_stands() -> None:
    html = (
        '<head><script>let a = "<b>&amp;";</script><script src="/x.js"></script>'
        '<script type="module">\n  const é = 1 < 2 && 3;\n</script></head>'
        '<body onload="evil()"><SCRIPT>x</SCRIPT></body>'
    )
    wanted = ['let a = "<b>&amp;";', "\n  const é = 1 < 2 && 3;\n", "x"]
    assert inline_script_hashes(html) == [hash_of(text) for text in wanted]


def test_line_ends_are_hashed_as_browsers_read_them() -> None:
    assert inline_script_hashes("<script>a\r\nb</script>") == [hash_of("a\nb")]


def test_the_pages_policy_names_its_scripts_once_each_and_no_other_host() -> None:
    policy = gradio_page_policy("<script>1</script><script>1</script>", "'self' https://huggingface.co")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["script-src"] == f"'self' 'unsafe-eval' 'sha256-{hash_of('1')}'"
    assert rules["frame-ancestors"] == "'self' https://huggingface.co"
    assert rules["object-src"] == "'none'"
    assert "http" not in policy.partition("frame-ancestors")[0]


def test_other_answers_run_nothing() -> None:
    rules = dict(rule.split(" ", 1) for rule in own_page_policy("'self'").split("; "))
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules
    assert rules["form-action"] == "'self'"
