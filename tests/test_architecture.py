"""The rules of the house, as tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from studio.settings import Settings

ROOT = Path(__file__).parent.parent
PACKAGES = ("studio", "pipelines", "queue_backend", "bench")
OURS = sorted(path for top in PACKAGES for path in (ROOT / top).rglob("*.py") if "migrations" not in path.parts)
SOURCES = [*OURS, ROOT / "app.py"]
MAX_FILE_LINES = 350
MAX_APP_LINES = 60
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 9
MAX_DEMO_FILE_BYTES = 10_000_000


def test_import_arrows() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_web_process_imports_no_model_library() -> None:
    code = (
        "import sys, app, studio.bootstrap\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'accelerate') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    limit = MAX_APP_LINES if path.name == "app.py" and path.parent == ROOT else MAX_FILE_LINES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_stay_small(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"
            if not any(_is_route(decorator) for decorator in node.decorator_list):
                parameters = len(node.args.args) + len(node.args.kwonlyargs)
                assert parameters <= MAX_PARAMETERS, f"{node.name} has {parameters} parameters"


def _is_route(decorator: ast.expr) -> bool:
    """A function whose parameters are an HTTP route's query, as the contract names them."""
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("## Settings", 1)[1].split("\n## ", 1)[0]
    documented = set(re.findall(r"`((?:STUDIO|GRADIO|SPACE|RUNPOD|HF|OAUTH|OPENID)_[A-Z_]+)`", table))
    known: set[str] = {"HF_TOKEN"}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        if alias is None:
            known.add(f"STUDIO_{name.upper()}")
        else:
            known.update([alias] if isinstance(alias, str) else [str(choice) for choice in alias.choices])
    assert documented == known


def test_direct_dependencies_are_pinned_exactly() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            assert line.startswith("-r ") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line


def test_demo_checkpoint_files_are_small_and_readable() -> None:
    files = [path for path in (ROOT / "pipelines" / "tiny_world").rglob("*") if path.suffix == ".safetensors"]
    assert files
    for path in files:
        assert path.stat().st_size < MAX_DEMO_FILE_BYTES, path.name
        assert path.stat().st_mode & 0o444 == 0o444, path.name
