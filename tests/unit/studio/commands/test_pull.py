"""`python app.py pull` against a hub on this machine: whole, interrupted, refused."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from pipelines.checkpoint_roles import FULL_MODEL
from pipelines.checkpoints import Kind
from studio.commands.hub import HubCheckpoint, HubFile
from studio.commands.pull import room_needed
from studio.models import checkpoint_of, worker_spec
from studio.pulled_models import find_pulled, read_note
from tests.unit.studio.commands.commanding import Commands
from tests.unit.studio.commands.local_hub import REVISION, LocalHub

PIECE_BYTES = 10 * 2**20
QWEN = "model.safetensors"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dtypes(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            found |= {file.get_slice(name).get_dtype() for name in sorted(file.keys())}
    return found


def wait_until_written(folder: Path, name: str, count: int) -> None:
    deadline = time.monotonic() + 20
    while not any(path.stat().st_size >= count for path in folder.rglob(f"{name}*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_three_are_pulled_converted_and_used(command: Commands, hub: LocalHub) -> None:
    code, output, complaint = command.run("pull")
    assert code == 0, complaint
    assert "100%" in complaint
    models = command.settings.models_path
    assert sorted(path.name for path in models.iterdir()) == sorted(
        hid.replace("/", "--") for hid in FULL_MODEL.values()
    )
    for role, hub_id in FULL_MODEL.items():
        assert f"{role}: {hub_id} is ready" in output
        checkpoint = checkpoint_of(command.settings, role)
        assert checkpoint.kind is Kind.FOLDER
        assert worker_spec(command.settings, role).options["checkpoint"] == checkpoint.location
        note = read_note(Path(checkpoint.location))
        assert note is not None
        assert (note.hub_id, note.revision, note.converted) == (hub_id, REVISION, role == "wan")

    sdxl, wan, qwen = (files(Path(checkpoint_of(command.settings, role).location)) for role in ("sdxl", "wan", "qwen"))
    served = files(hub.repositories[FULL_MODEL["sdxl"]])
    assert sdxl.pop(".pulled")
    assert sdxl == {name: served[name] for name in sdxl}
    assert all(".fp16." in name for name in sdxl if name.endswith(".safetensors"))
    assert "README.md" not in {*sdxl, *wan, *qwen}
    assert qwen[QWEN] == files(hub.repositories[FULL_MODEL["qwen"]])[QWEN]
    folder = Path(checkpoint_of(command.settings, "wan").location)
    assert [dtypes(folder / part) for part in ("text_encoder", "vae")] == [{"BF16"}, {"F32"}]
    assert not [path for path in hub.transferred() if path.endswith((".bin", ".onnx"))]

    hub.requests.clear()
    code, output, _ = command.run("pull")
    assert code == 0
    assert output.count("is here already") == 3
    assert hub.requests == []


def test_the_token_goes_to_the_hub_and_not_to_where_it_points(command: Commands, hub: LocalHub) -> None:
    assert command.run("pull", "qwen")[0] == 0
    tokens = {address: set() for address in ("hub", "store")}
    for address, _, _, _, token in hub.requests:
        tokens[address].add(token)
    assert tokens == {"hub": {True}, "store": {False}}, hub.requests


def test_a_killed_pull_goes_on_within_the_file(command: Commands, hub: LocalHub) -> None:
    hub.stalls = QWEN
    process = command.start("pull", "qwen")
    assert hub.stalled.wait(30)
    wait_until_written(command.settings.models_path, QWEN, PIECE_BYTES)
    process.kill()
    process.wait()
    assert find_pulled(command.settings.models_path, FULL_MODEL["qwen"]) is None

    code, output, complaint = command.run("pull", "qwen")
    assert code == 0, complaint
    assert "of them here already" in output
    assert hub.ranges_of(QWEN)[-1] == f"bytes={PIECE_BYTES}-"
    assert [path for path in hub.transferred() if path.endswith("tokenizer.json")] == []
    folder = find_pulled(command.settings.models_path, FULL_MODEL["qwen"])
    assert folder is not None
    assert (folder / QWEN).read_bytes() == (hub.repositories[FULL_MODEL["qwen"]] / QWEN).read_bytes()


def test_ctrl_c_ends_at_once_and_says_that_nothing_is_lost(command: Commands, hub: LocalHub) -> None:
    hub.stalls = QWEN
    process = command.start("pull", "qwen")
    assert hub.stalled.wait(30)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=8)  # the transfer under way would wait for 10 s
    assert process.returncode == 130
    assert complaint.splitlines()[-1] == "Stopped. What was downloaded stays: run this again to go on."
    assert "Traceback" not in complaint


def test_a_cut_connection_is_taken_up_again(command: Commands, hub: LocalHub) -> None:
    hub.breaks = QWEN
    code, _, complaint = command.run("pull", "qwen")
    assert code == 0, complaint
    assert [each for each in hub.ranges_of(QWEN) if each] == [
        f"bytes={PIECE_BYTES}-"
    ] * 2  # asked at the hub, then there


def test_an_overloaded_server_is_asked_again(command: Commands, hub: LocalHub) -> None:
    hub.overloaded = QWEN
    code, _, complaint = command.run("pull", "qwen")
    assert code == 0, complaint
    assert len([path for path in hub.transferred() if path.endswith(QWEN)]) == 2


def test_a_disk_too_small_is_refused_before_anything_is_fetched(command: Commands, hub: LocalHub) -> None:
    hub.sizes[QWEN] = 10**15
    code, output, complaint = command.run("pull", "qwen")
    assert code == 1
    assert "1000000.0 GB to download" in output
    assert complaint.startswith("The disk is too small: this needs 1000000.0 GB")
    assert "STUDIO_MODELS_DIR" in complaint
    assert hub.ranges_of(QWEN) == []
    assert not command.settings.models_path.exists()


def test_a_dry_run_fetches_nothing(command: Commands, hub: LocalHub) -> None:
    code, output, complaint = command.run("pull", "--dry-run", "sdxl", "wan")
    assert code == 0, complaint
    assert "sdxl: stabilityai/stable-diffusion-xl-base-1.0" in output
    assert "once it is in bfloat16" in output
    assert "qwen" not in output
    assert not command.data_dir.exists()
    assert not [path for path in hub.transferred() if "sdxl" in path]


def test_what_arrives_damaged_is_thrown_away(command: Commands, hub: LocalHub) -> None:
    hub.digests[QWEN] = "0" * 64
    code, _, complaint = command.run("pull", "qwen")
    assert code == 1
    assert complaint.splitlines()[-1].startswith(f"{QWEN} arrived damaged")
    assert find_pulled(command.settings.models_path, FULL_MODEL["qwen"]) is None
    hub.digests.clear()
    assert command.run("pull", "qwen")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "refusals", "sentence"),
    [
        (["qwen"], {}, {FULL_MODEL["qwen"]: 401}, "is gated. Accept its terms on the hub, then set HF_TOKEN"),
        (["qwen"], {}, {FULL_MODEL["qwen"]: 500}, "The hub refused"),
        (["wan"], {"STUDIO_WAN_MODEL": "no/such"}, {}, "Check STUDIO_WAN_MODEL, or set HF_TOKEN."),
        (["wan"], {"STUDIO_WAN_MODEL": FULL_MODEL["sdxl"]}, {}, "is a StableDiffusionXLPipeline and not one of Wan"),
        (["sdxl"], {"STUDIO_SDXL_MODEL": FULL_MODEL["qwen"]}, {}, "not in the layout of diffusers"),
        (["sdxl"], {"STUDIO_SDXL_MODEL": "./no/such"}, {}, "There is no checkpoint at './no/such'"),
        (["flux"], {}, {}, "There is no role 'flux'. Roles are sdxl, wan, qwen."),
        (["qwen"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, {}, "Check the network and pull again."),
    ],
)
def test_what_cannot_be_had_is_said_in_a_sentence(
    command: Commands,
    hub: LocalHub,
    arguments: list[str],
    environment: dict[str, str],
    refusals: dict[str, int],
    sentence: str,
) -> None:
    hub.refusals.update(refusals)
    code, _, complaint = command.run("pull", *arguments, **environment)
    assert code == 1
    assert sentence in complaint
    assert len(complaint.splitlines()) == 1


def test_local_checkpoints_need_no_hub(command: Commands, hub: LocalHub) -> None:
    folder = hub.repositories[FULL_MODEL["qwen"]]
    code, output, _ = command.run("pull", "qwen", STUDIO_QWEN_MODEL=str(folder), STUDIO_MODELS="demo")
    assert code == 0
    assert f"qwen: uses {folder}, which is here already." in output
    assert "STUDIO_MODELS=full" in output
    assert hub.requests == []


def test_a_folder_in_the_way_is_left_alone(command: Commands) -> None:
    folder = command.settings.models_path / FULL_MODEL["sdxl"].replace("/", "--")
    folder.mkdir(parents=True)
    (folder / "mine").write_text("mine")
    code, _, complaint = command.run("pull", "sdxl")
    assert code == 1
    assert "is in the way" in complaint
    assert files(folder) == {"mine": b"mine"}


def test_two_pulls_do_not_meet(command: Commands, hub: LocalHub) -> None:
    hub.stalls = QWEN
    command.start("pull", "qwen")
    assert hub.stalled.wait(30)
    code, _, complaint = command.run("pull", "qwen")
    assert code == 1
    assert complaint.splitlines()[-1].startswith("Another pull into this folder is running.")


def test_what_a_kill_at_the_last_moment_left_is_tidied(command: Commands, hub: LocalHub) -> None:
    assert command.run("pull", "sdxl")[0] == 0
    workshop = command.settings.models_path / ".pulling"
    left = workshop / f"{FULL_MODEL['sdxl'].replace('/', '--')}@{REVISION}"
    other = workshop / f"someone--else@{REVISION}"
    for folder in (left, other):
        folder.mkdir(parents=True)
    assert command.run("pull", "sdxl")[0] == 0
    assert not left.exists()
    assert other.exists()


def test_the_worst_moment_is_what_room_is_asked_for() -> None:
    def checkpoint(role: str, count: int, conversion: int) -> HubCheckpoint:
        file = HubFile(path="model.safetensors", bytes=count)
        return HubCheckpoint(role=role, hub_id=role, revision=REVISION, files=(file,), conversion_bytes=conversion)

    sdxl, wan, qwen = checkpoint("sdxl", 7, 0), checkpoint("wan", 28, 14), checkpoint("qwen", 15, 0)
    assert room_needed({}) == 0
    assert room_needed({sdxl: 0, qwen: 0}) == 22
    assert room_needed({sdxl: 0, wan: 0, qwen: 0}) == 7 + 28 + 14
    assert room_needed({sdxl: 7, wan: 28, qwen: 0}) == 14
    assert room_needed({wan: 0, checkpoint("qwen", 60, 0): 0}) == 14 + 60
