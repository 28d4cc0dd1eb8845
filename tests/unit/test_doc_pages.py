"""The runner of the documentation's examples: it carries state on, and what is wrong with a page shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_pages import Block, PageRun, blocks_of, files_named, is_as_shown, programs_of, running_page

PAGE = """# A page

```sh
url=http://127.0.0.1:7860
twice() { echo "$1$1"; }
```

```sh
twice "$url $NAME"
```
```text
http://studio … Ana
```

```python
value = 6
open(f"number_{value}.png", "w").close()
```

```python
print(value * 7)
```

```json
{"a": 1}
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Iterator[PageRun]:
    with running_page(tmp_path / "reader", "http://studio", {"NAME": "Ana"}) as run:
        yield run


def test_blocks_build_on_each_other(page: Path, run: PageRun) -> None:
    programs = programs_of(page)
    assert [(block.language, block.line) for block in programs] == [
        ("sh", 3),
        ("sh", 8),
        ("python", 15),
        ("python", 20),
    ]
    assert [run.run(block) for block in programs] == ["", "http://studio Anahttp://studio Ana\n", "", "42\n"]
    assert files_named(programs) == {"number_*.png"}
    assert [path.name for path in run.folder.iterdir()] == ["number_6.png"]
    assert [block.language for block in blocks_of(page)][-1] == "json"


@pytest.mark.parametrize(
    ("language", "text", "sign"),
    [
        ("sh", "false\necho on\n", "exit code 1"),
        ("sh", "echo $unset\n", "unset"),
        ("python", "raise ValueError('no such thing')\n", "no such thing"),
        ("python", "import sys; sys.exit(0)\n", "SystemExit"),
    ],
)
def test_a_block_that_fails_fails_the_page(run: PageRun, language: str, text: str, sign: str) -> None:
    with pytest.raises(AssertionError, match=sign):
        run.run(Block(language=language, text=text, line=1))


@pytest.mark.parametrize(
    ("printed", "shown", "expected"),
    [
        ("a b\n", "a b\n", True),
        ("a 17 c\n", "a … c\n", True),
        ("first\nlast\n", "…last\n", True),
        ("a b\nmore\n", "a b\n", False),
        ("a x\n", "a b\n", False),
    ],
)
def test_output_is_compared(printed: str, shown: str, expected: bool) -> None:
    assert is_as_shown(printed, shown) is expected
