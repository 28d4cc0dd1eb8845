"""Reading a pipeline part by part, so that whoever waits for it hears how far it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline

from pipelines.checkpoints import Checkpoint, Kind
from pipelines.loading import LoadOptions

_DOWNLOAD = "download"
_WHOLE_FILE = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class PartReader:
    """Reads `checkpoint`. `parts` names the components of diffusers in each part, in the order of reading; `few_step`
    is the name of the part that its few-step weights are."""

    parts: Mapping[str, tuple[str, ...]]
    few_step: str
    checkpoint: Checkpoint
    options: LoadOptions

    def download(self, pipeline_class: Any, **choice: Any) -> str:
        """Return the folder in the download cache that holds the hub's checkpoint, after fetching what it lacks.

        `choice` are further arguments of `DiffusionPipeline.download`. Raises what the hub's library raises.
        """
        self._tell(_DOWNLOAD, self.parts)
        return str(
            pipeline_class.download(
                self.checkpoint.location,
                cache_dir=self.options.cache_dir,
                local_files_only=self.options.offline,
                use_safetensors=True,
                **choice,
            )
        )

    def read_folder(self, pipeline_class: Any, folder: str, **how: Any) -> Any:
        """Return the pipeline in `folder`, its parts read one after the other.

        `how` are further arguments of `from_pretrained`. Raises whatever the libraries raise over files.
        """
        index = DiffusionPipeline.load_config(folder)
        names = {name for name, value in index.items() if isinstance(value, list) and value[0]}
        present = self._present(names)
        how = how | {"use_safetensors": True, "local_files_only": True}
        read: dict[str, Any] = {}
        for part in present:
            self._tell(part, present)
            wanted = names.intersection(self.parts[part])
            # A pipeline that is told to do without a component does not read it.
            alone = pipeline_class.from_pretrained(folder, **dict.fromkeys(names - wanted), **how)
            read |= {name: let_go_of_files(getattr(alone, name)) for name in wanted}
        return pipeline_class.from_pretrained(folder, **read, **how)

    def read_file(self, pipeline_class: Any, **how: Any) -> Any:
        """Return the pipeline in the checkpoint's single file, which diffusers reads in one go. As `read_folder`."""
        self._tell(_WHOLE_FILE, [_WHOLE_FILE])
        return pipeline_class.from_single_file(self.checkpoint.location, **how)

    def tell_few_step(self, pipe: Any) -> None:
        """Say that the few-step weights are about to be read, after all of `pipe`."""
        there = self._present(name for name, component in pipe.components.items() if component is not None)
        self._tell(self.few_step, [_WHOLE_FILE] if self.checkpoint.kind is Kind.SINGLE_FILE else there)

    def _present(self, components: Iterable[str]) -> tuple[str, ...]:
        there = set(components)
        return tuple(part for part, names in self.parts.items() if not there.isdisjoint(names))

    def _tell(self, name: str, present: Iterable[str]) -> None:
        """Say that `name` is about to be read, of the parts `present` and what else the checkpoint has to bring."""
        if self.options.on_part is None:
            return
        first = [_DOWNLOAD] if self.checkpoint.kind is Kind.HUB else []
        last = [self.few_step] if self.checkpoint.few_step else []
        order = [*first, *present, *last]
        self.options.on_part(name, order.index(name), len(order))


def let_go_of_files(module: Any) -> Any:
    """Return `module`, the few weights that it keeps in float32 copied out of the files that were read.

    They are views of files that are mapped whole: 12 MB of WAN 1.3B held 5.7 GB of shards in memory, while all others
    were converted and had let go.
    """
    precisions = {parameter.dtype for parameter in module.parameters()}
    if len(precisions) > 1:
        for parameter in module.parameters():
            if parameter.dtype == torch.float32:
                parameter.data = parameter.data.clone()
    return module
