"""What the hub holds of a checkpoint, and which of its files the studio needs. Nothing is kept on disk here."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from pipelines.checkpoint_roles import ENVIRONMENT_VARIABLE, WAN_CLASSES

CONVERTED_PARTS = ("text_encoder", "transformer", "transformer_2")
"""The parts of WAN that `pipelines.conversion` halves: equal to its constant of the same name, which only a process
with torch may import."""
WAITING_S = 20.0
"""How long the hub may take to answer a question."""
PIPELINE_CLASSES = {"sdxl": frozenset({"StableDiffusionXLPipeline"}), "wan": frozenset(WAN_CLASSES)}
HALF_FIRST = frozenset({"sdxl"})
"""Roles whose half-precision files are taken where every part has them, as `pipelines.sdxl_loading` prefers them."""

_WEIGHTS = re.compile(r"(?:model|diffusion_pytorch_model)(\.fp16)?(-\d+-of-\d+)?(\.fp16)?\.safetensors")
_ANY_WEIGHTS = frozenset({".safetensors", ".bin", ".ckpt", ".msgpack", ".onnx", ".pt", ".h5"})
_CONFIGS = frozenset({".json", ".txt", ".model", ".jinja"})


class PullFailed(Exception):
    """A checkpoint cannot be had. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a repository: its path, its size in bytes, and its SHA-256 in hex where the hub keeps one."""

    path: str
    bytes: int
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class HubCheckpoint:
    """What is to be fetched: `files` of `hub_id` at the commit `revision`.

    `conversion_bytes` is the room that its bfloat16 copy needs beside them: 0 where it comes in half precision.
    """

    role: str
    hub_id: str
    revision: str
    files: tuple[HubFile, ...]
    conversion_bytes: int

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def final_bytes(self) -> int:
        """What it occupies in the end. Of a part that is halved, the copy is as large as what it saves."""
        return self.bytes - self.conversion_bytes


def look_up(role: str, hub_id: str, revision: str | None = None) -> HubCheckpoint:
    """Ask the hub for `hub_id` at `revision` (None: as it is now). Raises PullFailed."""
    api = HfApi()
    try:
        info = api.model_info(hub_id, revision=revision, files_metadata=True, timeout=WAITING_S)
        commit = str(info.sha)
        files = tuple(_listed(info.siblings or ()))
        parts = _parts(role, hub_id, commit, {file.path for file in files})
        needed = needed_files(role, files, parts)
        room = _conversion_bytes(api, hub_id, commit, needed) if role == "wan" else 0
    except (httpx2.HTTPError, OSError) as error:
        raise PullFailed(why_not(role, hub_id, error)) from error
    return HubCheckpoint(role=role, hub_id=hub_id, revision=commit, files=needed, conversion_bytes=room)


def needed_files(role: str, files: Iterable[HubFile], parts: Iterable[str]) -> tuple[HubFile, ...]:
    """Return the files of `parts` ("" is the root) that the studio loads: configs, tokenizers and one set of weights.

    Twins of the same weights stay where they are: pickled, ONNX, Flax, of the other precision, or one file beside its
    own shards. Raises PullFailed where a part has no safetensors.
    """
    by_part = {part: [file for file in files if _folder(file) == part] for part in (*parts, "")}
    weighty = [part for part in parts if any(PurePosixPath(f.path).suffix in _ANY_WEIGHTS for f in by_part[part])]
    halves = {part: {half for half, _ in map(_kind, by_part[part]) if half is not None} for part in weighty}
    half = role in HALF_FIRST and all(True in found for found in halves.values())
    chosen: dict[str, HubFile] = {}
    for part, found in by_part.items():
        if part in weighty:
            weights = _weights(found, half if half in halves[part] else not half)
            if not weights:
                raise PullFailed(
                    f"The {part or 'model'} is not offered as .safetensors, and pickled weights can run code. "
                    f"Set {ENVIRONMENT_VARIABLE[role]} to another model."
                )
            chosen |= {file.path: file for file in weights}
        if part or role == "qwen":
            chosen |= {file.path: file for file in found if _is_config(file)}
        else:
            chosen |= {file.path: file for file in found if file.path == "model_index.json"}
    return tuple(chosen.values())


def why_not(role: str, hub_id: str, error: Exception) -> str:
    """Say in a sentence why the hub did not give `hub_id`, and what to do."""
    if isinstance(error, GatedRepoError):
        return f"{hub_id} is gated. Accept its terms on the hub, then set HF_TOKEN and pull again."
    if isinstance(error, RepositoryNotFoundError):
        return f"The hub has no model {hub_id}, or it is private. Check {ENVIRONMENT_VARIABLE[role]}, or set HF_TOKEN."
    if isinstance(error, RevisionNotFoundError):
        return f"{hub_id} no longer has the commit that was being pulled. Delete .pulling in the models folder."
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "no status"
        return f"The hub refused {hub_id} with {status}. Try again later."
    reason = str(error).partition("\n")[0] or type(error).__name__
    return f"The hub did not answer for {hub_id}: {reason}. Check the network and pull again."


def _listed(siblings: Iterable[object]) -> Iterator[HubFile]:
    for sibling in siblings:
        lfs = getattr(sibling, "lfs", None)
        yield HubFile(
            path=str(getattr(sibling, "rfilename", "")),
            bytes=int(getattr(sibling, "size", None) or 0),
            sha256=str(lfs.sha256) if lfs is not None else None,
        )


def _parts(role: str, hub_id: str, revision: str, paths: set[str]) -> tuple[str, ...]:
    """The folders of the model's parts, as its index names them; of Qwen the root alone."""
    if role == "qwen":
        if "config.json" not in paths:
            raise PullFailed(f"{hub_id} has no config.json. Set {ENVIRONMENT_VARIABLE[role]} to another model.")
        return ("",)
    if "model_index.json" not in paths:
        raise PullFailed(
            f"{hub_id} is not in the layout of diffusers (no model_index.json). "
            f"Set {ENVIRONMENT_VARIABLE[role]} to another model."
        )
    with tempfile.TemporaryDirectory() as folder:
        index = json.loads(
            Path(hf_hub_download(hub_id, "model_index.json", revision=revision, local_dir=folder)).read_bytes()
        )
    if (found := index.get("_class_name")) not in PIPELINE_CLASSES[role]:
        wanted = ", ".join(sorted(PIPELINE_CLASSES[role]))
        raise PullFailed(
            f"{hub_id} is a {found} and not one of {wanted}. Set {ENVIRONMENT_VARIABLE[role]} to another model."
        )
    return tuple(
        name
        for name, entry in index.items()
        if isinstance(entry, list) and entry and entry[0] is not None and any(p.startswith(f"{name}/") for p in paths)
    )


def _conversion_bytes(api: HfApi, hub_id: str, revision: str, files: Iterable[HubFile]) -> int:
    """Half of the parts that come in float32, by the header of the first file of each: shards of a part are alike."""
    room = 0
    for part in CONVERTED_PARTS:
        weights = [file for file in files if _folder(file) == part and _kind(file)[0] is not None]
        if weights:
            header = api.parse_safetensors_file_metadata(hub_id, weights[0].path, revision=revision, timeout=WAITING_S)
            counts = header.parameter_count
            if counts.get("F32", 0) * 2 > sum(counts.values()):
                room += sum(file.bytes for file in weights) // 2
    return room


def _folder(file: HubFile) -> str:
    parent = str(PurePosixPath(file.path).parent)
    return "" if parent == "." else parent


def _kind(file: HubFile) -> tuple[bool | None, bool]:
    """Whether weights are of half precision (None: these are no weights that we load), and whether they are a shard."""
    match = _WEIGHTS.fullmatch(PurePosixPath(file.path).name)
    if match is None:
        return None, False
    return bool(match[1] or match[3]), match[2] is not None


def _weights(found: list[HubFile], half: bool) -> list[HubFile]:
    """The weights of this precision: a single file rather than its shards; shards with the index that names them."""
    kinds = [(file, *_kind(file)) for file in found]
    single = [file for file, precision, shard in kinds if precision is half and not shard]
    shards = [file for file, precision, shard in kinds if precision is half and shard]
    if single or not shards:
        return single
    names = [(file, PurePosixPath(file.path).name) for file in found]
    indices = [
        file
        for file, name in names
        if ".safetensors" in name and ".index" in name and name.endswith(".json") and (".fp16" in name) is half
    ]
    return [*shards, *indices]


def _is_config(file: HubFile) -> bool:
    path = PurePosixPath(file.path)
    return path.suffix in _CONFIGS and ".index." not in path.name
