"""Makes a smaller model that learns a trained one's similarities, and says what it costs and loses.

    OUT/teacher        what the trained model makes of the data set, as of `hdvila-train embed`
    OUT/student        the smaller model's run, as of `hdvila-train fit`
    OUT/pupil          what that one makes of it
    OUT/export         its export with both towers as ONNX, and text.int8.onnx
    OUT/distill.json   the table; written last

The student has half the width, three frames in place of more, over the same time, and one segment.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from manifests.embeddings import Head, read_embedded
from manifests.errors import UserError
from manifests.files import Files
from manifests.settings import load_config
from manifests.shards import read_manifest, read_shard_rows
from train.config import TrainConfig
from train.data.index import Index, load_index
from train.evaluation.embed import embed_all, sha256_of_model
from train.evaluation.encoder import Encoder, blank_inputs
from train.evaluation.scores import score_retrieval, wilson_interval
from train.exports.export import export_run
from train.exports.inference import load_checkpoint
from train.exports.onnx_files import INT8, quantize_text, write_onnx

RESULT = "distill.json"
N_FRAMES = 3
HALVED = {"hd_vila": ("trunk_width", "width"), "vit": ("width", "image.width", "image.mlp", "text.width", "text.mlp")}
"""By kind of model: the keys that a student has half of."""
MEASURED_S = 2.0
"""CPU seconds over which the cost of a call is averaged."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A model in use: each tower run by onnxruntime on one thread, a clip or a sentence at a time, without decoding."""

    model: str
    r1: float
    """Text to video, on the val split."""
    r1_from: float
    r1_to: float
    clip_ms: float
    """CPU time."""
    query_ms: float
    video_mb: float
    """Size of the tower's weights."""
    text_mb: float

    def cells(self) -> list[str]:
        """A row of the table."""
        r1 = f"{self.r1:.1%} ({self.r1_from:.1%} to {self.r1_to:.1%})"
        times = [f"{self.clip_ms:.2f}", f"{self.query_ms:.2f}"]
        return [self.model, r1, *times, f"{self.video_mb:.2f}", f"{self.text_mb:.2f}"]


def table(costs: Sequence[Cost]) -> str:
    """The costs as a table in Markdown."""
    names = ["model", "R@1", "CPU ms a clip", "CPU ms a query", "video tower, MB", "text tower, MB"]
    lines = [names, ["---"] * len(names), *(cost.cells() for cost in costs)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def student_of(run: Path, out: str, teacher: Encoder, overrides: Sequence[str]) -> TrainConfig:
    """The student's configuration: the run's own, but for its size and its objective; then `overrides`."""
    config = load_config(TrainConfig, run / "config.yaml")
    kind, model = config.model.kind, config.model.model_dump()
    if kind not in HALVED or model.get("n_answers"):
        raise UserError(f"{run}: distill compares embeddings, and this model of kind {kind} has none")
    defaults = {name: type(config.model).model_fields[name].default for name in config.model.sources}
    smaller = smaller_size(model)
    settings = {
        **{f"model.{name}": value for name, value in (smaller | defaults).items()},
        "data.stride": config.data.stride * (model["n_frames"] - 1) // (smaller["n_frames"] - 1),
        "data.tokenizer": run / "tokenizer",
        "objective.distill": 1.0,
        "objective.distill_from": f"{out}/teacher",
        "objective.distill_temperature": teacher.temperature,
        "out": f"{out}/student",
    }
    given = [f"{name}={json.dumps(str(v) if isinstance(v, Path) else v)}" for name, v in settings.items()]
    return load_config(TrainConfig, run / "config.yaml", [*given, *overrides])


def smaller_size(model: Mapping[str, Any]) -> dict[str, int]:
    """The keys of a student's size, given those of its teacher."""
    halved = {name: _value(model, name) // 2 for name in HALVED[model["kind"]]}
    return {**halved, "n_frames": min(model["n_frames"], N_FRAMES), "n_segments": 1}


def _value(tree: Mapping[str, Any], name: str) -> int:
    for part in name.split("."):
        tree = tree[part]
    return int(tree)  # type: ignore[call-overload]


def embedded(encoder: Encoder, config: TrainConfig, folder: str, device: torch.device) -> Head:
    """Embeds the data set into a folder on a device, or goes on with that; returns its head."""
    data = config.data
    manifest = read_manifest(data.manifest, **data.storage_options)
    head = Head(sha256_of_model(encoder), manifest.sha256, encoder.model.config.width, batch=16, sentences=128)
    encoder.model.to(device)
    embed_all(encoder, manifest, Files(folder), head, n_workers=data.workers, options=data.storage_options)
    encoder.model.cpu()
    return head


def compare(teacher: Encoder, config: TrainConfig, out: str, heads: Mapping[str, Head]) -> list[Cost]:
    """Exports the student, and measures both on the val split; writes the table."""
    folder = Path(out) / "export"
    if not folder.exists():
        export_run(Path(config.out), folder, onnx=True)
        quantize_text(folder)
    student = load_checkpoint(folder)
    manifest = read_manifest(config.data.manifest, **config.data.storage_options)
    index = load_index(manifest, config.data.val_split, storage_options=config.data.storage_options)
    with tempfile.TemporaryDirectory() as scratch:
        write_onnx(teacher, Path(scratch))
        costs = [
            _cost("teacher", teacher, Path(scratch), "text.onnx", _held_out(f"{out}/teacher", heads["teacher"], index))
        ]
    pairs = _held_out(f"{out}/pupil", heads["pupil"], index)
    costs.append(_cost("student", student, folder, "text.onnx", pairs))
    texts = _texts_by(folder / INT8, student, pairs.captions)
    costs.append(_cost("student, text in int8", student, folder, INT8, _Pairs(pairs.video, texts, pairs.captions)))
    rows = json.dumps([asdict(cost) for cost in costs], indent=1)
    (Path(out) / RESULT).write_text(rows + "\n", encoding="utf-8")
    return costs


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Clips and their sentences: embeddings [n, D], and the captions."""

    video: npt.NDArray[np.float32]
    text: npt.NDArray[np.float32]
    captions: Sequence[str]


def _held_out(folder: str, head: Head, index: Index) -> _Pairs:
    video, text, captions = [], [], []
    for shard in index.shards:
        made = read_embedded(Files(folder), head, shard)
        rows = read_shard_rows(index.manifest, shard, ["key", "caption"])
        said = dict(zip(rows["key"].to_pylist(), rows["caption"].to_pylist(), strict=True))
        video.append(made.video.astype(np.float32))
        text.append(made.text.astype(np.float32))
        captions += [said[key] for key in made.rows["key"].to_pylist()]
    return _Pairs(np.concatenate(video), np.concatenate(text), captions)


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options)


def _tokens(encoder: Encoder, texts: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    assert encoder.tokenizer is not None
    ids, mask = encoder.tokenizer.encode(texts, encoder.model.config.text_length)
    return {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}


def _texts_by(file: Path, encoder: Encoder, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    session = _session(file)
    return np.concatenate([session.run(None, _tokens(encoder, [text]))[0] for text in texts])


def _cost(name: str, encoder: Encoder, folder: Path, text: str, pairs: _Pairs) -> Cost:
    recall = score_retrieval(torch.from_numpy(pairs.video), torch.from_numpy(pairs.text), pairs.captions)
    r1 = recall.text_to_video.r1
    blank = dict(zip(("img_middle", "img_other"), blank_inputs(encoder.views), strict=True))
    clip = {name: value[None].numpy() for name, value in blank.items() if value is not None}
    query, video, words = _tokens(encoder, pairs.captions[:1]), _session(folder / "video.onnx"), _session(folder / text)
    times = [_ms(lambda: video.run(None, clip)), _ms(lambda: words.run(None, query))]
    sizes = [sum(f.stat().st_size for f in folder.glob(f"{file}*")) / 1e6 for file in ("video.onnx", text)]
    return Cost(name, r1, *wilson_interval(r1, recall.n_clips), *times, *sizes)


def _ms(call: Callable[[], object]) -> float:
    """CPU milliseconds of a call, after a first one."""
    call()
    begin, n = time.process_time(), 0
    while (spent := time.process_time() - begin) < MEASURED_S or not n:
        call()
        n += 1
    return 1000 * spent / n
