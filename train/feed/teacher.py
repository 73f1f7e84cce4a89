"""What another model made of the samples that are trained on, for `objective.distill`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from manifests.embeddings import Scores
from manifests.errors import UserError
from train.config import TrainConfig
from train.data.index import Index
from train.objectives import active

Half = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Teacher:
    """Embeddings of a model, [n, D], by sample number."""

    video: Half
    text: Half

    def rows(self, samples: Sequence[int]) -> dict[str, Tensor]:
        """`teacher_video` and `teacher_text` of these samples, [B, D] fp32."""
        both = {"teacher_video": self.video, "teacher_text": self.text}
        return {name: torch.from_numpy(values[samples].astype(np.float32)) for name, values in both.items()}


def teacher_of(config: TrainConfig, index: Index) -> Teacher | None:
    """The model that this run learns from; None if it learns from none.

    UserError if its embeddings are of another data set, or lack a sample.
    """
    if "distill" not in {objective.name for objective, _ in active(config.objective)}:
        return None
    folder = config.objective.distill_from  # type: ignore[attr-defined]
    if not folder:
        raise UserError("objective.distill: name the other model's embeddings in objective.distill_from")
    if index.films or index.texts or config.data.order != "planned":
        raise UserError("objective.distill: needs the samples' own texts and data.order: planned")
    tables = Scores(folder, **config.data.storage_options)
    if not tables.head.width:
        raise UserError(f"{folder}: holds scores and no embeddings; give a folder of `hdvila-train embed`")
    tables.refuse_others(index.manifest, index.shards)
    both = [np.zeros((len(index), tables.head.width), np.float16) for _ in range(2)]
    for number, shard in enumerate(index.shards):
        first, stop = np.searchsorted(index.shard, [number, number + 1]).tolist()
        made = tables.embedded(shard)
        at = pc.index_in(index.keys.slice(first, stop - first).cast(pa.string()), made.rows["key"].combine_chunks())
        if at.null_count:
            raise UserError(f"{folder}: {at.null_count} samples of {shard.url} have no embedding; embed them again")
        for values, of in zip(both, (made.video, made.text), strict=True):
            values[first:stop] = of[at.to_numpy()]
    return Teacher(*both)
