"""Files of weights: reads safetensors and torch files without executing any code in them; says what does not fit.

Where initial weights come from, and how they get into a model, is the same for all models.
"""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from torch import Tensor, nn

from manifests.errors import UserError

Shape = tuple[int, ...]
Aliases = tuple[str, str]
"""Two keys of one tensor."""
N_NAMED = 8
DAMAGED = (
    *(SafetensorError, pickle.UnpicklingError, struct.error, RuntimeError, EOFError, LookupError, ValueError),
    *(AssertionError, TypeError, AttributeError, OverflowError, MemoryError, OSError),
)
"""What the libraries raise for a damaged file of weights: torch checks next to nothing in a file of its old format."""


class OfficialMismatch(UserError):
    """A state dict isn't an official checkpoint of the stage that its keys indicate; the message names the keys."""


def load_file(path: Path) -> dict[str, Tensor]:
    """Reads the flat state dict of a .safetensors or torch file (with weights_only), on the CPU. Else UserError."""
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; check the path")
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except DAMAGED as error:
        reason = str(error).splitlines()[0].partition(". ")[0] if str(error) else type(error).__name__  # then advice
        raise UserError(f"{path}: cannot be read as weights ({reason}); is the file whole?") from None
    return bare(loaded, source=str(path))


def bare(loaded: object, source: str = "the state dict") -> dict[str, Tensor]:
    """A flat {key: tensor}, without a training wrapper or a `module.` prefix. UserError for anything else."""
    for wrapper in ("model_state_dict", "state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise UserError(f"{source}: holds no flat state dict of tensors")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def weights_in(path: Path) -> Path:
    """The weights file of a Hugging Face folder, or the file itself."""
    if not path.is_dir():
        return path
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (path / name).is_file():
            return path / name
    raise UserError(f"{path}: holds neither model.safetensors nor pytorch_model.bin; name a weights file or its folder")


def read_bert(source: str) -> Mapping[str, Tensor] | None:
    """Reads a BERT's weights from a file, a folder or the Hugging Face hub; None if the hub is out of reach."""
    if Path(source).exists():
        return load_file(weights_in(Path(source)))
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        return load_file(Path(hf_hub_download(source, "model.safetensors")))
    except ImportError:
        return None
    except HFValidationError as error:
        raise UserError(f"bert_weights: {source} is neither a path here nor a Hugging Face name ({error})") from None
    except (HfHubHTTPError, OSError):
        return None


def bert_key(key: str) -> str:
    """A BERT key in today's form: old files call norms' tensors gamma and beta; keys of a bare encoder lack `bert.`."""
    key = key.replace(".gamma", ".weight").replace(".beta", ".bias")
    return f"bert.{key}" if key.startswith(("embeddings.", "encoder.")) else key


def out_of_reach(part: str, source: str) -> UserError:
    """The error for a source of initial weights that cannot be downloaded."""
    return UserError(
        f"initial weights of {part}: {source} is out of reach (no network, or a package that isn't installed); "
        "give a local file or folder, or random"
    )


def copy_keys(module: nn.Module, weights: Mapping[str, Tensor], wanted: set[str], source: str) -> int:
    """Copies the wanted keys of `weights` into the module; returns how many. UserError for missing or other shapes."""
    own = module.state_dict()
    missing = sorted(wanted - weights.keys())
    if missing:
        raise UserError(f"{source}: lacks {len(missing)} of {len(wanted)} tensors, the first {', '.join(missing[:3])}")
    wrong = [key for key in sorted(wanted) if own[key].shape != weights[key].shape]
    if wrong:
        shapes = f"{tuple(weights[wrong[0]].shape)} where the model has {tuple(own[wrong[0]].shape)}"
        raise UserError(f"{source}: {len(wrong)} tensors have another shape, the first {wrong[0]}: {shapes}")
    with torch.no_grad():
        for key in wanted:
            own[key].copy_(weights[key])
    return len(wanted)


def check_official(weights: Mapping[str, Tensor], wanted: Mapping[str, Shape], aliases: Aliases, what: str) -> None:
    """Raises OfficialMismatch unless `weights` have the wanted keys and shapes, and both aliases are one tensor."""
    if problems := key_problems(weights, wanted):
        raise OfficialMismatch(f"not an official {what} checkpoint of {len(wanted)} entries: {problems}")
    one, other = aliases
    if other in wanted and not torch.equal(weights[one].float(), weights[other].float()):
        raise OfficialMismatch(f"{one} and {other} are one tensor in the model but differ in the checkpoint")


def completed(weights: Mapping[str, Tensor], wanted: Mapping[str, Shape], aliases: Aliases) -> dict[str, Tensor]:
    """Adds wanted keys that hold no information: batch counters, and the shared tensor under its other name."""
    counters = {key: torch.tensor(0) for key in wanted if key.endswith("num_batches_tracked")}
    shared = next((weights[key] for key in aliases if key in weights), None)
    named = {key: shared for key in aliases if shared is not None and key in wanted}
    return {**counters, **named, **weights}


def fill(model: nn.Module, weights: Mapping[str, Tensor], wanted: Mapping[str, Shape]) -> None:
    """Copies every wanted tensor of the right shape."""
    own = model.state_dict()
    with torch.no_grad():
        for key, shape in wanted.items():
            if key in weights and tuple(weights[key].shape) == shape:
                own[key].copy_(weights[key])


def key_problems(weights: Mapping[str, Tensor], wanted: Mapping[str, Shape]) -> str:
    """Text that names missing and unknown keys, and those of another shape; "" if there are none."""
    problems = [
        _named("missing", sorted(wanted.keys() - weights.keys())),
        _named("unknown", sorted(weights.keys() - wanted.keys())),
        _named("of another shape", _other_shapes(weights, wanted)),
    ]
    return "; ".join(problem for problem in problems if problem)


def _other_shapes(weights: Mapping[str, Tensor], wanted: Mapping[str, Shape]) -> list[str]:
    both = sorted(weights.keys() & wanted.keys())
    return [
        f"{key} {tuple(weights[key].shape)} for {wanted[key]}"
        for key in both
        if tuple(weights[key].shape) != wanted[key]
    ]


def _named(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - N_NAMED} more" if len(keys) > N_NAMED else ""
    return f"{len(keys)} {what}: {', '.join(keys[:N_NAMED])}{more}"
