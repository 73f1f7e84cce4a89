"""What all exported folders share: file names, the model's origin, config.json, and an atomic write."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manifests.errors import UserError
from train.annotations.questions import Task
from train.data.views import View
from train.whole_file import whole_file

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from: what its card and config.json say besides the architecture."""

    source: str
    stride: int = 12
    """Source frames between a segment's frames."""
    fps: float = 0.0
    """Frame rate that the stride refers to; 0: the source's."""
    view: View = "hybrid"
    """The view of clips that it was trained on (`data.view`)."""
    step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    task: Task | None = None
    """Which questions about videos it answers."""
    classes: tuple[str, ...] = ()
    """The answers to choose from."""
    official: bool = False


def config_document(kind: str, architecture: str, origin: Origin, about: Mapping[str, Any]) -> dict[str, Any]:
    """config.json of an export; `about`: what its kind says of its input and its model."""
    return {
        "model_type": kind,
        "architectures": [architecture],
        "hdvila_format": FORMAT,
        "torch_dtype": "float32",
        **about,
        "source": origin.source,
        "step": origin.step,
        "scores": origin.scores,
        "trained_with": origin.facts,
    }


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.json of an exported folder. UserError if there is none, or its format is unknown."""
    try:
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        known = document.get("hdvila_format")
    except FileNotFoundError:
        raise UserError(f"{folder}: is not an exported model (no {CONFIG}); run hdvila-train export") from None
    except (ValueError, AttributeError, OSError) as error:
        raise UserError(f"{folder / CONFIG}: cannot be read ({error})") from None
    if known != FORMAT:
        raise UserError(f"{folder}: exported in format {known}, this program reads {FORMAT}")
    return dict(document)


def refuse_existing_file(out: Path) -> None:
    """Raises UserError if `out` exists already, or its folder does not."""
    if out.exists():
        raise UserError(f"{out}: exists already; give another name")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder to write {out.name} into")


def save_official(weights: Mapping[str, Tensor], out: Path, wrapper: str = "") -> int:
    """Writes a published file in fp32, its state dict in a wrapper of this name; returns how many entries."""
    refuse_existing_file(out)
    state: dict[str, Any] = {key: x.float() if x.is_floating_point() else x for key, x in weights.items()}
    with whole_file(out) as part, part.open("wb") as file:  # to a path, torch would write that path's name into it too
        torch.save({"meta": {}, wrapper: state} if wrapper else state, file)
    return len(weights)


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `out`, renamed to `out` at the end. UserError if `out` is not free."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: exists already and isn't an empty folder; give another name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    try:
        part.chmod(0o755)
        yield part
        part.replace(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
