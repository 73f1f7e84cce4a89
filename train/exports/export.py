"""Exports weights as a folder in a familiar layout: safetensors, configuration, tokenizer, model card.

    OUT/model.safetensors  config.json  tokenizer.json  tokenizer_config.json  vocab.txt  README.md
        answers.json (of a model for open questions)
        modeling_hdvila.py and the modules that it imports (of an HD-VILA with two towers): for AutoModel
        video.onnx  text.onnx (if asked for)

Keys in model.safetensors are the published checkpoints' keys, so an export of stage 1 or 2 at full size is an official
checkpoint in another container (`hdvila-train convert OUT FILE.bin`). A folder appears complete or not at all.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safetensors.torch import save_file
from torch import Tensor

from manifests.errors import UserError
from train.data.views import View
from train.evaluation.encoder import Encoder
from train.exports.carried_code import AUTO_MAP, write_code
from train.exports.export_folder import (
    CARD,
    CONFIG,
    WEIGHTS,
    Origin,
    config_document,
    read_config,
    save_official,
    whole_folder,
)
from train.exports.image_text_export import NAMES as IMAGE_TEXT
from train.exports.image_text_export import export_image_text, export_official_soho, write_official_soho
from train.exports.onnx_files import write_onnx
from train.exports.vit_export import export_vit, write_vit
from train.feed.asked import read_classes, task_of, write_classes
from train.feed.tokenizer import Tokenizer, load_tokenizer
from train.models.base import ModelSection
from train.models.configs import ModelConfig
from train.models.hd_vila import HDVila
from train.models.official import BIAS, BIAS_ALIAS, check_keys, load_official, stage_of
from train.models.registry import build_model as initial_weights
from train.models.soho.official import is_soho
from train.models.vit.configs import VitConfig
from train.models.vit.model import Vit
from train.models.weight_files import load_file


def export(model: HDVila, tokenizer: Tokenizer | None, out: Path, origin: Origin, *, onnx: bool = False) -> None:
    """Writes the folder. UserError if `out` exists already, or a model without towers is asked for as ONNX."""
    if onnx and not model.towers:
        raise UserError("--format onnx writes two towers, and a model that answers questions has none")
    with whole_folder(out) as folder:
        save_file(_for_file(model.state_dict()), folder / WEIGHTS, metadata={"format": "pt"})
        (folder / CONFIG).write_text(json.dumps(_config(model.config, origin), indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(model_card(model, origin, has_tokenizer=tokenizer is not None), encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)
        if origin.classes:
            write_classes(origin.classes, folder)
        if model.towers and model.towers_class is not None:
            write_code(model.towers_class, folder)
        if onnx:
            write_onnx(Encoder(model, tokenizer, stride=origin.stride, view=origin.view, fps=origin.fps), folder)


def export_run(run: Path, out: Path, *, best: bool = False, onnx: bool = False) -> Path:
    """Exports a run's newest (or best) checkpoint; returns the checkpoint."""
    from manifests.settings import parse_config
    from train.config import TrainConfig
    from train.loop.checkpoint import find_checkpoint, read_facts, restore_weights
    from train.loop.objective import mark_trainable

    checkpoint = find_checkpoint(run, best=best)
    facts = read_facts(checkpoint)
    trained = parse_config(TrainConfig, facts.config, source=str(checkpoint))
    config = trained.model
    refuse_sound(config, run)
    model = initial_weights(config.without_sources(), seed=0)
    mark_trainable(model, trained)
    restore_weights(checkpoint, model)
    folder = next((p for p in (checkpoint.parent.parent, checkpoint.parent) if (p / "tokenizer").is_dir()), checkpoint)
    tokenizer = load_tokenizer(folder / "tokenizer")
    origin = Origin(
        source=f"training, seed {facts.config.get('seed', 0)}, manifest {facts.manifest_sha256[:12]}",
        stride=trained.data.stride,
        fps=trained.data.fps,
        view=cast(View, trained.data.view),
        step=facts.step,
        scores=facts.scores,
        facts={"manifest_sha256": facts.manifest_sha256, "config": trained.record(), "versions": facts.versions},
        task=task_of(trained),
        classes=tuple(read_classes(folder)),
    )
    model.weight_sources = _asked_sources(config, facts.config.get("seed", 0))
    if isinstance(model, HDVila):
        export(model, tokenizer, out, origin, onnx=onnx)
    elif isinstance(model, Vit):
        export_vit(model, tokenizer, out, origin, onnx=onnx)
    elif onnx:
        raise UserError(f"--format onnx writes two towers, and a model of kind {config.kind} has none")
    else:
        export_image_text(model, tokenizer, out, origin)  # type: ignore[arg-type]
    return checkpoint


def refuse_sound(config: ModelSection, place: Path) -> None:
    """Raises UserError for a model whose clips' embeddings need more than pictures."""
    if config.kind == "hd_vila_sound":
        raise UserError(f"{place}: hears, so that pictures alone are not its input: `hdvila-train eval` scores it")


def use_of(folder: Path) -> str:
    """What an exported folder is good for, in a line to type."""
    document = read_config(folder)
    if document["model_type"] in IMAGE_TEXT:
        return f"start another run from it: --set model.model_weights={folder}"
    if "task" in document:
        return USE_ANSWERS.splitlines()[1].replace("PATH_OF_THIS_FOLDER", str(folder))
    return f'from Python: train.load("{folder}").embed_text(["a caption"])'


def export_official(source: Path, out: Path, *, vocab: Path | None = None, partial: bool = False) -> int:
    """Converts a published checkpoint file to a folder; returns the number of entries in it."""
    tokenizer = load_tokenizer(vocab) if vocab is not None else None
    weights = load_file(source)
    if is_soho(weights):
        return export_official_soho(weights, source.name, out, tokenizer=tokenizer, partial=partial)
    model = load_official(weights, partial=partial)
    if tokenizer is not None and tokenizer.vocab_size != model.config.vocab_size:
        raise UserError(f"{vocab}: {tokenizer.vocab_size} pieces, but the checkpoint has {model.config.vocab_size}")
    export(model, tokenizer, out, Origin(source=f"the published checkpoint {source.name}", official=True))
    return len(model.state_dict())


def write_official(folder: Path, out: Path) -> int:
    """Converts an exported folder to a published checkpoint file (a flat fp32 state dict), or a vit to a folder of its
    towers for transformers; returns how many entries.
    """
    document = read_config(folder)
    kind, preset = document.get("model_type"), document.get("model", {}).get("preset")
    if kind == "soho":
        return write_official_soho(folder, out)
    if kind == "vit":
        return write_vit(folder, out)
    if preset != "hd_vila":
        raise UserError(f"{folder}: only the published size (hd_vila) can be converted; this is `{preset}`")
    weights = {key: value for key, value in read_weights(folder).items() if not key.startswith("temperature.")}
    stage = stage_of(weights)
    check_keys(weights, stage)
    return save_official(weights, out)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The state dict of an exported folder, with the shared bias under both of its keys."""
    weights = load_file(folder / WEIGHTS)
    if BIAS in weights:
        weights[BIAS_ALIAS] = weights[BIAS]
    return weights


def model_config(tree: Mapping[str, Any], source: Path) -> ModelConfig | VitConfig:
    """Parses the architecture stored in a checkpoint or an export."""
    from manifests.settings import parse_config

    if tree.get("kind") == "vit":
        return parse_config(VitConfig, tree, source=str(source))
    return parse_config(ModelConfig, tree, source=str(source))


def _asked_sources(config: ModelSection, seed: int) -> dict[str, str]:
    """The sources of weights that the run's configuration names; only its log says which could be used."""
    asked = {key.removesuffix("_weights"): getattr(config, key) for key in config.sources}
    return {part: f"random, seed {seed}" if source == "random" else source for part, source in asked.items() if source}


def _for_file(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drops the alias of the shared bias: safetensors refuses two names for one tensor."""
    return {key: value.detach().cpu().contiguous() for key, value in state.items() if key != BIAS_ALIAS}


def _config(config: ModelConfig, origin: Origin) -> dict[str, Any]:
    about = {
        "frame_stride": origin.stride,
        "fps": origin.fps,
        "view": origin.view,
        **({"task": origin.task} if origin.task else {}),
        "model": config.model_dump(mode="json"),
        "model_fixed": {name: getattr(config, name) for name in config.fixed},
        **({} if config.n_answers else {"auto_map": AUTO_MAP}),
    }
    return config_document("hd_vila", "HDVila", origin, about)


USE = """```python
import train

model = train.load("PATH_OF_THIS_FOLDER")
video = model.embed_video("clip.mp4")              # [D], L2 norm 1; also a uint8 array of frames [T, H, W, 3]
text = model.embed_text(["a red car drives off"])  # [1, D]
print(text @ video)
```"""

USE_AUTO = """Without this project, with transformers and torch alone:

```python
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("PATH_OF_THIS_FOLDER", trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained("PATH_OF_THIS_FOLDER")
words = tokenizer(["a red car drives off"], truncation=True, max_length=TEXT_LENGTH, return_tensors="pt")
text = model.embed_text(words["input_ids"], words["attention_mask"])
# uint8 RGB, segments of the table's video input: the high frame [B, S, 3, H, W], the others [B, S, N-1, 3, H/4, W/4]
video = model.embed_video(img_middle, img_other)
```"""

USE_ANSWERS = """```sh
hdvila-train eval PATH_OF_THIS_FOLDER --videos FOLDER_OF_VIDEOS --questions FILE --answers results.json
```"""

OFFICIAL_LICENCE = """The weights come from a published HD-VILA checkpoint, whose licence (Microsoft Research,
non-commercial) goes with them: it forbids handing them on. The code that reads them is independent of theirs."""
OWN_LICENCE = """Trained on clips that belong to their makers: see the data set's card for their licences, and ask what
your use allows."""
NO_TOKENIZER = """
This folder holds no tokenizer. The published one is BERT's uncased WordPiece: put its
`vocab.txt` here for `embed_text`.
"""
ABOUT = """# HD-VILA

Video and text in one space: similar meaning, large dot product. An independent implementation of *Advancing
High-Resolution Video-Language Representation with Large-Scale Video Transcriptions* (CVPR 2022).

| | |
|---|---|"""
LIMITS = """## Limits

Speech is a loose description of pictures: what is said is often not seen. English captions only. The model repeats the
leanings of its videos; it is not a tool for recognising or judging people."""


def model_card(model: HDVila, origin: Origin, *, has_tokenizer: bool) -> str:
    """The model card as Markdown, with the front matter that model hubs read."""
    config = model.config
    rate = f"frames at {origin.fps:g}/s" if origin.fps else "source frames"
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = {
        "architecture": f"{config.preset}, stage {config.stage}",
        "parameters": f"{n_parameters / 1e6:.1f} M, fp32",
        **(
            {"answers": f"questions about videos, {origin.task}"}
            if origin.task
            else {"embedding": f"{config.width} numbers, L2 norm 1"}
        ),
        "video input": f"{config.n_segments} x (1 frame of {_size(config.high)} and {config.n_frames - 1} of "
        f"{_size(config.low)}, {origin.stride} {rate} apart)",
        "text input": f"{config.text_length} WordPiece tokens of {config.vocab_size}",
        "from": origin.source,
        "optimiser steps": f"{origin.step}",
    }
    parts = [
        _front_matter(),
        ABOUT,
        *(f"| {name} | {value} |" for name, value in facts.items()),
        *(f"| initial weights of {part} | {source} |" for part, source in model.weight_sources.items()),
        f"\n## Use\n\n{USE_ANSWERS if origin.task else USE}\n",
        "" if origin.task else f"{USE_AUTO.replace('TEXT_LENGTH', str(config.text_length))}\n",
        "" if has_tokenizer else NO_TOKENIZER,
        _scores(origin),
        f"## Licence\n\n{OFFICIAL_LICENCE if origin.official else OWN_LICENCE}\n",
        LIMITS,
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _front_matter() -> str:
    lines = ["library_name: hdvila", "pipeline_tag: feature-extraction", "language: en", "license: other"]
    return "\n".join(["---", *lines, "tags: [video-text-retrieval, contrastive, hd-vila]", "---", ""])


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _scores(origin: Origin) -> str:
    if "accuracy" in origin.scores:
        error = f"mean squared error {origin.scores['mse']:.3f}, " if "mse" in origin.scores else ""
        n = origin.scores.get("n_scored", 0)
        return f"## Held-out questions\n\n{error}{origin.scores['accuracy']:.1%} of {n:.0f} right\n"
    if not origin.scores:
        return ""
    rows = []
    for way, name in (("t2v", "text to video"), ("v2t", "video to text")):
        cells = [
            f"{origin.scores[f'{way}_r{k}']:.1%} ({origin.scores.get(f'{way}_chance_r{k}', 0):.1%})"
            for k in (1, 5, 10)
            if f"{way}_r{k}" in origin.scores
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    head = f"## Retrieval on the val split ({origin.scores.get('n_clips', 0):.0f} clips; chance in brackets)\n\n"
    return head + "| | R@1 | R@5 | R@10 |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
