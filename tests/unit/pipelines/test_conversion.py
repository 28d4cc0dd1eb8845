"""WAN checkpoints from float32 to bfloat16, of random weights at tiny sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors import safe_open

from pipelines.checkpoints import resolve
from pipelines.contract import ModelMissing
from pipelines.conversion import CONVERTED_PARTS, convert, kept_in_float32, main
from tests.unit.pipelines import tiny_wan

SHARD_SIZE = "20KB"


@pytest.fixture(scope="module")
def wide_wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-to-video checkpoint in float32, its large parts in several shards."""
    folder = tmp_path_factory.mktemp("wide") / "wan"
    tiny_wan.build().save_pretrained(folder, max_shard_size=SHARD_SIZE)
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def halved_wan(wide_wan: Path) -> Path:
    folder = wide_wan.with_name("halved")
    convert(wide_wan, folder, lambda line: None)
    return folder


def load(folder: Path, dtype: torch.dtype | dict[str, torch.dtype]) -> DiffusionPipeline:
    return DiffusionPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True, use_safetensors=True)


def dtypes(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            found |= {file.get_slice(name).get_dtype() for name in sorted(file.keys())}
    return found


def test_it_loads_to_the_same_bits_as_the_original(wide_wan: Path, halved_wan: Path) -> None:
    dtype = {"vae": torch.float32, "default": torch.bfloat16}
    original, halved = load(wide_wan, dtype), load(halved_wan, dtype)
    for part in ("text_encoder", "transformer", "vae"):
        before, after = getattr(original, part).state_dict(), getattr(halved, part).state_dict()
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert tensor.dtype == after[name].dtype, name
            assert torch.equal(tensor, after[name]), name


def test_large_parts_are_halved_and_the_rest_is_left(wide_wan: Path, halved_wan: Path) -> None:
    assert dtypes(wide_wan / "transformer") == {"F32"}
    assert dtypes(halved_wan / "transformer") == {"BF16", "F32"}
    assert dtypes(halved_wan / "text_encoder") == {"BF16"}
    assert dtypes(halved_wan / "vae") == {"F32"}
    for path in wide_wan.rglob("*.safetensors"):
        assert (halved_wan / path.relative_to(wide_wan)).stat().st_mode == path.stat().st_mode
    for path in (wide_wan / "vae").iterdir():
        assert (halved_wan / "vae" / path.name).read_bytes() == path.read_bytes()


def test_what_diffusers_keeps_in_float32_stays_so(wide_wan: Path, halved_wan: Path) -> None:
    kept = kept_in_float32(wide_wan, "transformer")
    assert {"time_embedder", "scale_shift_table", "norm2"} <= kept
    assert kept_in_float32(wide_wan, "text_encoder") == frozenset()
    for path in (halved_wan / "transformer").glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in sorted(file.keys()):
                wide = not kept.isdisjoint(name.split("."))
                assert file.get_slice(name).get_dtype() == ("F32" if wide else "BF16"), name


def test_shards_index_and_config_agree(wide_wan: Path, halved_wan: Path) -> None:
    assert resolve("wan", halved_wan).starts_from == resolve("wan", wide_wan).starts_from
    for part in ("text_encoder", "transformer"):
        shards = sorted(path.name for path in (halved_wan / part).glob("*.safetensors"))
        assert len(shards) > 1
        assert shards == sorted(path.name for path in (wide_wan / part).glob("*.safetensors"))
        (index,) = (halved_wan / part).glob("*.index.json")
        total = 0
        for name in shards:
            with safe_open(halved_wan / part / name, framework="pt") as file:
                tensors = [file.get_tensor(key) for key in sorted(file.keys())]
                total += sum(tensor.numel() * tensor.itemsize for tensor in tensors)
        assert json.loads(index.read_text())["metadata"]["total_size"] == total
    assert json.loads((halved_wan / "text_encoder/config.json").read_text())["dtype"] == "bfloat16"
    assert json.loads((wide_wan / "text_encoder/config.json").read_text())["dtype"] == "float32"


def test_an_interrupted_conversion_goes_on_where_it_was(wide_wan: Path, halved_wan: Path, tmp_path: Path) -> None:
    target = tmp_path / "again"
    said: list[str] = []

    def interrupt(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(wide_wan, target, interrupt)
    assert not target.exists()
    (unfinished,) = tmp_path.iterdir()
    first = {path: path.stat().st_mtime_ns for path in unfinished.rglob("*.safetensors")}
    assert len(first) == 2
    convert(wide_wan, target, lambda line: None)
    for path, written_ns in first.items():
        assert (target / path.relative_to(unfinished)).stat().st_mtime_ns == written_ns
    files = {path.relative_to(halved_wan): path.read_bytes() for path in halved_wan.rglob("*") if path.is_file()}
    assert files == {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_a_damaged_file_ends_it_in_words(wide_wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "halved"
    broken = tmp_path / "broken"
    convert(wide_wan, broken, lambda line: None)
    damaged = next((broken / "transformer").glob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-7])
    monkeypatch.setattr("sys.argv", ["conversion", str(broken), str(target)])
    with pytest.raises(SystemExit, match=f"{damaged.name} is damaged"):
        main()
    assert not target.exists()


def test_an_unknown_class_is_refused(wide_wan: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "transformer").mkdir(parents=True)
    (source / "transformer" / "model.safetensors").write_bytes(b"")
    for entry in (["os", "system"], ["diffusers", "NoSuchTransformer"]):
        (source / "model_index.json").write_text(json.dumps({"transformer": entry}))
        with pytest.raises(ModelMissing, match="of a class"):
            convert(source, tmp_path / "target", lambda line: None)


def test_the_puller_knows_the_same_parts() -> None:
    from studio.commands import hub

    assert hub.CONVERTED_PARTS == CONVERTED_PARTS
