"""`python app.py doctor`: what it finds, and what it tells to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipelines.checkpoint_roles import FULL_MODEL
from studio.commands import machine_checks, studio_checks
from studio.commands.doctor import as_lines, main
from studio.commands.findings import Finding, State, problem
from studio.commands.studio_checks import studio_findings
from studio.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "SPACE_ID", "RUNPOD_POD_ID", "STUDIO_MODELS", "STUDIO_HOST"):
        monkeypatch.delenv(name, raising=False)


def settings_of(tmp_path: Path, **fields: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "models": "demo", "STUDIO_PORT": free_port(), **fields})


def found(settings: Settings) -> dict[str, Finding]:
    """The findings by subject; of several about one, the first."""
    findings: dict[str, Finding] = {}
    for finding in studio_findings(settings):
        findings.setdefault(finding.subject, finding)
    return findings


@pytest.fixture
def someone(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that answers /healthz with the given status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_studio_that_can_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(settings_of(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("The studio can start.")
    for subject in ("Python", "Packages", "torch", "Memory", "ffmpeg", "Budget", "Address", "Database", "Model qwen"):
        assert any(line.startswith(f"ok       {subject}") for line in lines), subject
    assert "Tiny World (demo)" in "\n".join(lines)
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    assert main(settings_of(tmp_path, data_dir=taken / "data")) == 1
    output = capsys.readouterr().out
    assert output.splitlines()[-1] == "The studio cannot start: 3 problems."
    assert "-> Set STUDIO_DATA_DIR to a folder that can be written to." in output


@pytest.mark.parametrize(
    ("fields", "subject", "to_do"),
    [
        ({"database_url": "nonsense"}, "Database", "STUDIO_DATABASE_URL"),
        ({"database_url": "oracle://of/nowhere"}, "Database", "STUDIO_DATABASE_URL"),
        ({"database_url": "sqlite:////dev/null/studio.db"}, "Database", "STUDIO_DATABASE_URL"),
        ({"storage_url": "gopher://x"}, "Storage", "STUDIO_STORAGE_URL"),
        ({"storage_url": "file:///dev/null/media"}, "Storage", "STUDIO_STORAGE_URL"),
        ({"sdxl_model": "./no/such"}, "Model sdxl", "STUDIO_SDXL_MODEL"),
        ({"wan_few_step": "./no/such"}, "Model wan", "few-step weights"),
    ],
)
def test_what_keeps_a_studio_from_starting(tmp_path: Path, fields: dict[str, str], subject: str, to_do: str) -> None:
    finding = found(settings_of(tmp_path, **fields))[subject]
    assert finding.state is State.PROBLEM
    assert to_do in finding.to_do


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "one person without sign-in"),
        ({"STUDIO_HOST": "0.0.0.0"}, "email and password"),
        ({"auth": "guest", "signup": "closed"}, "guests, and accounts; accounts are made by sign-up (closed)"),
    ],
)
def test_it_says_who_may_come_in(tmp_path: Path, fields: dict[str, str], words: str) -> None:
    finding = found(settings_of(tmp_path, **fields))["People"]
    assert finding.state is State.OK
    assert words in finding.text


@pytest.mark.parametrize(("someone", "state"), [(200, State.OK), (404, State.PROBLEM)], indirect=["someone"])
def test_who_holds_the_port_decides(tmp_path: Path, someone: int, state: State) -> None:
    finding = found(settings_of(tmp_path, STUDIO_PORT=someone))["Address"]
    assert finding.state is state
    assert ("a studio is running there" in finding.text) == (state is State.OK)


def test_a_port_that_never_answers_is_no_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio_checks, "ANSWER_S", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        finding = found(settings_of(tmp_path, STUDIO_PORT=other.getsockname()[1]))["Address"]
    assert finding.state is State.PROBLEM
    assert finding.to_do == "Set STUDIO_PORT."


def test_models_that_are_not_here_yet_are_to_be_pulled(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, models="full")
    findings = found(settings)
    for role, hub_id in FULL_MODEL.items():
        assert findings[f"Model {role}"].state is State.ADVICE
        assert hub_id in findings[f"Model {role}"].text
        assert f"python app.py pull {role}" in findings[f"Model {role}"].to_do


def test_models_in_the_workers_download_cache_count(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, models="full")
    cache = settings.models_path / f"models--{FULL_MODEL['qwen'].replace('/', '--')}"
    revision = "0" * 40
    for path, content in ((cache / "refs/main", revision), (cache / "snapshots" / revision / "config.json", "{}")):
        path.parent.mkdir(parents=True)
        path.write_text(content)
    assert found(settings)["Model qwen"].text.endswith("in the download cache of the models folder")


def test_a_read_only_models_folder_keeps_nothing_from_starting(tmp_path: Path) -> None:
    finding = found(settings_of(tmp_path, models_dir=Path("/dev/null/models")))["Models folder"]
    assert finding.state is State.ADVICE


def test_a_database_in_use_is_named_with_its_version(tmp_path: Path, migrated_file: Path) -> None:
    finding = found(settings_of(tmp_path, database_url=f"sqlite:///{migrated_file}"))["Database"]
    assert finding.state is State.OK
    assert f"{migrated_file.name}, at " in finding.text


def test_a_driver_beside_a_torch_without_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "NVIDIA RTX 6000 Ada Generation, 49140 MiB, 550.54.15"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = {finding.subject: finding for finding in machine_checks.machine_findings(settings_of(tmp_path))}
    assert findings["GPU"].text == "NVIDIA RTX 6000 Ada Generation, 49140 MiB, driver 550.54.15"
    assert findings["torch"].state is State.ADVICE
    assert "built without CUDA" in findings["torch"].text


def test_a_driver_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "Failed to initialize NVML: Driver/library version mismatch" >&2\nexit 18\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = {finding.subject: finding for finding in machine_checks.machine_findings(settings_of(tmp_path))}
    assert findings["GPU"].state is State.ADVICE
    assert "Driver/library version mismatch" in findings["GPU"].text


def test_packages_that_are_missing_or_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "requirements.txt"
    monkeypatch.setattr(machine_checks, "REQUIREMENTS", requirements)

    def packages() -> Finding:
        found = machine_checks.machine_findings(settings_of(tmp_path))
        return next(finding for finding in found if finding.subject == "Packages")

    requirements.write_text("no-such-package-of-ours==1.0\nnumpy==0.1\n")
    assert (packages().state, packages().text) == (State.PROBLEM, "missing: no-such-package-of-ours")
    requirements.write_text("numpy==0.1\n")
    assert packages().state is State.ADVICE
    assert packages().text.startswith("numpy 2")
    assert packages().to_do


def test_a_line_and_what_to_do_below_it() -> None:
    lines = as_lines(problem("Address", "is taken.", "Set STUDIO_PORT.")).splitlines()
    assert lines == ["problem  Address        is taken.", " " * 24 + "-> Set STUDIO_PORT."]
