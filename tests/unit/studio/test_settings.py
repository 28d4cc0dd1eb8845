from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from studio import settings as settings_module
from studio.settings import Settings

OURS = ("STUDIO_", "GRADIO_", "SPACE_", "RUNPOD_", "OAUTH_", "OPENID_")


@pytest.fixture
def set_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A clean environment in an empty folder; sets what it is given."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def change(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings()

    return change


def test_the_defaults_are_those_of_the_contract(set_environment, tmp_path: Path):
    found = set_environment()

    assert (found.listen_host, found.port, found.auth_mode) == ("127.0.0.1", 7860, "local")
    assert found.data_path == tmp_path / "data"
    assert found.storage == (tmp_path / "data" / "media").as_uri()
    assert make_url(found.database).database == str(tmp_path / "data" / "studio.db")
    assert found.models_path == tmp_path / "data" / "models"
    assert (found.sdxl_workers, found.models, found.external_url) == (1, "auto", None)
    assert (found.allowed_origins, found.banned_terms) == ((), ())


def test_reading_the_settings_makes_no_folder(set_environment, tmp_path: Path):
    found = set_environment()
    assert found.database
    assert found.storage

    assert list(tmp_path.iterdir()) == []


def test_gradios_names_are_honoured_and_the_studios_win(set_environment):
    assert set_environment(GRADIO_SERVER_NAME="::1", GRADIO_SERVER_PORT="8000").port == 8000
    found = set_environment(STUDIO_HOST="127.0.0.2", STUDIO_PORT="9000")

    assert (found.listen_host, found.port) == ("127.0.0.2", 9000)


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({}, "local"),
        ({"STUDIO_HOST": "localhost"}, "local"),
        ({"STUDIO_HOST": "::1"}, "local"),
        ({"STUDIO_HOST": "127.8.8.8"}, "local"),
        ({"STUDIO_HOST": "0.0.0.0"}, "accounts"),
        ({"STUDIO_HOST": "192.168.1.5"}, "accounts"),
        ({"STUDIO_HOST": "studio.example"}, "accounts"),
        ({"SPACE_ID": "someone/studio"}, "guest"),
        ({"SPACE_ID": "someone/studio", "STUDIO_AUTH": "accounts"}, "accounts"),
        ({"STUDIO_AUTH": "guest"}, "guest"),
    ],
)
def test_who_may_come_in_follows_the_address(set_environment, variables, mode):
    assert set_environment(**variables).auth_mode == mode


@pytest.mark.parametrize("variables", [{"STUDIO_HOST": "0.0.0.0"}, {"SPACE_ID": "x"}, {"GRADIO_SERVER_NAME": "::"}])
def test_local_mode_is_refused_on_an_address_others_reach(set_environment, variables):
    with pytest.raises(ValidationError, match="has no sign-in and would open the studio"):
        set_environment(STUDIO_AUTH="local", **variables)


def test_a_space_listens_everywhere_unless_told_otherwise(set_environment):
    assert set_environment(SPACE_ID="x").listen_host == "0.0.0.0"
    assert set_environment(SPACE_ID="x", STUDIO_HOST="127.0.0.1").listen_host == "127.0.0.1"


@pytest.mark.parametrize(
    ("variable", "volume"), [("SPACE_ID", "SPACE_DATA_DIR"), ("RUNPOD_POD_ID", "RUNPOD_VOLUME_DIR")]
)
def test_a_mounted_volume_is_used_where_there_is_one(set_environment, monkeypatch, tmp_path, variable, volume):
    monkeypatch.setattr(settings_module, volume, tmp_path / "volume")
    assert set_environment(**{variable: "x"}).data_path == tmp_path / "data"
    (tmp_path / "volume").mkdir()
    assert set_environment(**{variable: "x"}).data_path == tmp_path / "volume" / "studio"
    assert set_environment(STUDIO_DATA_DIR=str(tmp_path / "mine")).data_path == tmp_path / "mine"


def test_a_pods_address_is_known_unless_another_is_given(set_environment):
    assert set_environment(RUNPOD_POD_ID="abc").external_url == "https://abc-7860.proxy.runpod.net"
    assert set_environment(STUDIO_PUBLIC_URL="https://studio.example/").external_url == "https://studio.example"


def test_lists_are_separated_by_commas(set_environment):
    found = set_environment(STUDIO_BANNED_TERMS="foo, two words ,", STUDIO_ALLOWED_ORIGINS="https://a.example")

    assert found.banned_terms == ("foo", "two words")
    assert found.allowed_origins == ("https://a.example",)


def test_folders_with_odd_names_work(set_environment, tmp_path: Path):
    folder = tmp_path / "50% off #1 ? ü"
    found = set_environment(STUDIO_DATA_DIR=str(folder))

    assert make_url(found.database).database == str(folder / "studio.db")


def test_an_empty_variable_is_no_setting(set_environment):
    assert set_environment(STUDIO_PORT="", STUDIO_DATABASE_URL="").port == 7860


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STUDIO_PORT", "70000"),
        ("STUDIO_PORT", "many"),
        ("STUDIO_AUTH", "none"),
        ("STUDIO_MODELS", "some"),
        ("STUDIO_SDXL_WORKERS", "0"),
        ("STUDIO_WORKER_IDLE_EXIT_S", "-1"),
        ("STUDIO_LOG_LEVEL", "LOUD"),
        ("STUDIO_DTYPE", "int8"),
        ("STUDIO_ATTENTION", "fastest"),
        ("STUDIO_CACHE", "mag"),
        ("STUDIO_COMPILE", "yes"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(set_environment, name, value):
    with pytest.raises(ValidationError):
        set_environment(**{name: value})


def test_settings_do_not_change(set_environment):
    with pytest.raises(ValidationError):
        set_environment().port = 1


@pytest.mark.parametrize(("models", "uses_demo"), [("demo", True), ("full", False)])
def test_the_models_can_be_chosen(set_environment, models, uses_demo):
    assert set_environment(STUDIO_MODELS=models).uses_demo_models is uses_demo


def test_auto_follows_the_driver(set_environment, monkeypatch):
    monkeypatch.setattr(settings_module, "cuda_is_likely", lambda: True)
    assert set_environment().uses_demo_models is False
    monkeypatch.setattr(settings_module, "cuda_is_likely", lambda: False)
    assert set_environment().uses_demo_models is True


def test_the_settings_and_the_services_import_no_torch():
    script = (
        "import sys, studio.settings, studio.orders\n"
        "import studio.services.jobs, studio.services.execution, studio.services.feed\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'gradio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_space_knows_its_own_address(set_environment):
    assert set_environment(SPACE_ID="a/b", SPACE_HOST="a-b.hf.space").external_url == "https://a-b.hf.space"
    own = set_environment(SPACE_HOST="a-b.hf.space, studio.example.org")
    assert (own.external_url, own.space_hosts) == ("https://a-b.hf.space", ("a-b.hf.space", "studio.example.org"))
    assert set_environment(STUDIO_PUBLIC_URL="https://other.example/").external_url == "https://other.example"


@pytest.mark.parametrize("name", ["STUDIO_SUPABASE_URL", "OPENID_PROVIDER_URL"])
def test_who_says_who_people_are_is_asked_over_https(set_environment, name):
    for wrong in ("http://issuer.example", "issuer.example", "ftp://127.0.0.1"):
        with pytest.raises(ValidationError, match="https address"):
            set_environment(**{name: wrong})
    assert set_environment(**{name: "http://127.0.0.1:9999/"})
    assert set_environment(**{name: "https://issuer.example/"})
