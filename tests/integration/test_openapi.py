"""What /api/openapi.json promises is held against the running studio by schemathesis: as an admin, as a member and as
nobody, no answer is a server's error, and every one has the status, type and shape that the document gives it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.integration.people import PASSWORD, make_admin
from tests.integration.remote_worker import SECRET
from tests.integration.small_studio import ServedStudio
from tests.integration.two_people import finished, order, picture, sign_up

ENDLESS = "/api/events"
SIGNS_OUT = "/api/sessions/{session_id}"
"""Schemathesis finds the ids of its sessions in the list of them, and would go on as nobody."""
REST = ("--exclude-path", ENDLESS, "--exclude-path", SIGNS_OUT)


MAX_SHOWN_CHARS = 20_000
CHECKS_LEFT_OUT = "positive_data_acceptance"
"""It takes whatever a schema allows for acceptable; an order must moreover suit the checkpoints and the policy."""


@dataclass(frozen=True, kw_only=True)
class Fuzzed:
    """A running studio with accounts, and what each of its people sends to be known, by name."""

    url: str
    cookies: dict[str, str]

    def ask(self, who: str, path: str) -> httpx.Response:
        name, _, value = self.cookies.get(who, "X-Nobody: 1").partition(": ")
        return httpx.get(f"{self.url}{path}", headers={name: value}, timeout=60)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        with ServedStudio(folder, mode="accounts", worker_secret=SECRET).serving() as served:
            make_admin(served.studio)
            with (
                httpx.Client(base_url=served.url, timeout=60) as admin,
                httpx.Client(base_url=served.url, timeout=60) as member,
            ):
                form = {"username": "admin@example.org", "password": PASSWORD}
                admin.post("/login", data=form).raise_for_status()
                sign_up(member, "member@example.org", "Member")
                for client in (admin, member):
                    has_something(client)
                known = {"admin": admin, "member": member}
                cookies = {name: f"Cookie: studio={client.cookies['studio']}" for name, client in known.items()}
                yield Fuzzed(url=served.url, cookies=cookies)


def has_something(client: httpx.Client) -> None:
    """Make one of each thing, so that what is read of them can be checked."""
    client.post("/api/projects", json={"name": "Boats"}).raise_for_status()
    client.post("/api/uploads", files={"file": ("a.png", picture("teal"))}).raise_for_status()
    client.post("/api/keys", json={"name": "script", "scopes": ["read"]}).raise_for_status()
    finished(client, order(client, "a red boat"))
    finished(client, order(client, "a boat sails", job_type="video_fast", count=None))


@pytest.mark.parametrize("who", ["admin", "member"])
@pytest.mark.parametrize(("query", "status"), [("", 200), ("?after=0", 200), ("?after=x", 422), ("?after=%00", 422)])
def test_the_stream_answers_as_documented(fuzzed: Fuzzed, who: str, query: str, status: int) -> None:
    """Before the rest: an administrator who tries everything may shut the member out."""
    documented = httpx.get(f"{fuzzed.url}/api/openapi.json").json()["paths"][ENDLESS]["get"]["responses"]
    name, _, value = fuzzed.cookies[who].partition(": ")
    with httpx.stream("GET", f"{fuzzed.url}{ENDLESS}{query}", headers={name: value}, timeout=60) as answer:
        assert answer.status_code == status
        assert answer.headers["content-type"].partition(";")[0] in documented[str(status)]["content"]


@pytest.mark.parametrize(
    ("who", "which", "phases", "examples"),
    [
        ("nobody", REST, "fuzzing", 1),
        ("member", REST, "fuzzing", 5),
        ("admin", REST, "coverage,fuzzing", 5),
    ],
)
def test_every_answer_is_as_documented(
    fuzzed: Fuzzed, tmp_path: Path, who: str, which: tuple[str, ...], phases: str, examples: int
) -> None:
    schemathesis_finds_nothing(fuzzed, tmp_path, who, *which, f"--phases={phases}", f"--max-examples={examples}")
    assert (who != "nobody") == (fuzzed.ask(who, "/api/me").status_code == 200), "The session was to last."


def schemathesis_finds_nothing(fuzzed: Fuzzed, folder: Path, who: str, *options: str) -> None:
    signed_in = ["--header", fuzzed.cookies[who]] if who in fuzzed.cookies else []
    command = [
        Path(sys.executable).parent / "schemathesis",
        "run",
        f"{fuzzed.url}/api/openapi.json",
        *options,
        *("--exclude-checks", CHECKS_LEFT_OUT),
        "--generation-deterministic",
        "--generation-with-security-parameters=false",
        "--workers=1",  # Python 3.11 cannot parse source in two threads at once, which hypothesis does
        "--request-timeout=60",
        "--no-color",
        *signed_in,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-MAX_SHOWN_CHARS:]


def test_signing_out_answers_as_documented(fuzzed: Fuzzed, tmp_path: Path) -> None:
    """Last of all: it ends the sessions that the other tests use."""
    schemathesis_finds_nothing(
        fuzzed, tmp_path, "admin", "--include-path", SIGNS_OUT, "--phases=coverage,fuzzing", "--max-examples=5"
    )
