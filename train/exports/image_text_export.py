"""Exports SOHO and Visual Parsing as folders, and converts between such folders and SOHO's published files.

The folder is that of export_folder.py: model.safetensors, config.json, tokenizer, README.md. Another run can start from
it with `model.model_weights`. Keys are those of the published weights, if there are any.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from manifests.errors import UserError
from manifests.settings import parse_config
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
from train.feed.tokenizer import Tokenizer
from train.models.soho.configs import SohoConfig
from train.models.soho.model import Soho, SohoVqa
from train.models.soho.official import (
    VQA_MARK,
    WORDS,
    WORDS_ALIAS,
    check_soho_keys,
    load_official_soho,
    official_soho_keys,
)
from train.models.visual_parsing.model import VisualParsing
from train.models.weight_files import load_file

ImageTextModel = Soho | SohoVqa | VisualParsing

NAMES = {"soho": "SOHO", "visual_parsing": "Visual Parsing"}
RIGHTS = {
    True: "The weights come from a published SOHO checkpoint, which names no licence: ask its authors before handing "
    "them on.",
    False: "Trained on pictures that belong to their makers: see the data set's card for their licences.",
}


def export_image_text(model: ImageTextModel, tokenizer: Tokenizer | None, out: Path, origin: Origin) -> None:
    """Writes the folder. UserError if `out` exists already."""
    with whole_folder(out) as folder:
        save_file(one_name_each(model.state_dict()), folder / WEIGHTS, metadata={"format": "pt"})
        about = {"model": model.config.model_dump(mode="json")}
        document = config_document(model.config.kind, type(model).__name__, origin, about)
        (folder / CONFIG).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        (folder / CARD).write_text(_card(model, origin), encoding="utf-8")
        if tokenizer is not None:
            tokenizer.save(folder)


def export_official_soho(
    weights: Mapping[str, Tensor], source: str, out: Path, *, tokenizer: Tokenizer | None, partial: bool = False
) -> int:
    """Converts a published file's state dict to a folder; returns the number of the model's entries."""
    model = load_official_soho(weights, partial=partial)
    if tokenizer is not None and tokenizer.vocab_size != model.config.vocab_size:
        raise UserError(f"the vocabulary has {tokenizer.vocab_size} pieces, {source} has {model.config.vocab_size}")
    export_image_text(model, tokenizer, out, Origin(source=f"the published checkpoint {source}", official=True))
    return len(model.state_dict())


def write_official_soho(folder: Path, out: Path) -> int:
    """Converts an exported SOHO to a published file (fp32, the word table under both keys); returns how many entries.

    UserError for a folder of another model, or a model whose geometry has no published counterpart.
    """
    document = read_config(folder)
    config = parse_config(SohoConfig, document.get("model", {}), source=str(folder / CONFIG))
    weights = dict(load_file(folder / WEIGHTS))
    vqa = VQA_MARK in weights
    if not vqa:
        weights[WORDS_ALIAS] = weights[WORDS]
    check_soho_keys(weights, official_soho_keys(vqa=vqa, config=config))
    return save_official(weights, out, "state_dict")


def one_name_each(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drops later names of a shared tensor: safetensors refuses two names for one tensor."""
    first_names: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, value in state.items():
        if value.numel() and value.data_ptr() in seen:
            continue
        seen.add(value.data_ptr())
        first_names[key] = value.detach().cpu().contiguous()
    return first_names


def _card(model: ImageTextModel, origin: Origin) -> str:
    name = NAMES[model.config.kind]
    n_parameters = sum(p.numel() for p in model.parameters())
    scores = "".join(f"| {score} | {value:.4f} |\n" for score, value in origin.scores.items())
    table = f"\n| score | |\n|---|---|\n{scores}" if scores else ""
    return (
        f"# {name}\n\nPicture and sentence in one Transformer ({model.config.preset}), "
        f"{n_parameters / 1e6:.1f} M parameters, from {origin.source}. An independent implementation.\n{table}\n"
        f"Start another run from it with `model.model_weights`.\n\n## Rights\n\n{RIGHTS[origin.official]}\n"
    )
