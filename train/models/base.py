"""The interface of a model, and of its section in the YAML, to the trainer. Models know nothing about the trainer.

The loop, checkpoints, distribution, optimiser and evaluation only use this interface; train/models/registry.py says how
to register a new model.
"""

from collections.abc import Collection
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from manifests.settings import Section
from train.rows import Rows


class ModelSection(Section):
    """The keys that every model's section has; each section declares them with its own defaults and documentation."""

    sources: ClassVar[tuple[str, ...]] = ("model_weights",)
    """Keys that name sources of initial weights; by default they name none."""
    fixed: ClassVar[tuple[str, ...]] = ()
    """Attributes that no key sets and that change what a model computes; a run is not resumed with other values."""

    kind: str
    preset: str
    vocab_size: int
    text_length: int
    model_weights: str

    def without_sources(self) -> Self:
        """The same architecture with random weights, for when those of a checkpoint are loaded next."""
        return self.model_copy(update={key: type(self).model_fields[key].default for key in self.sources})

    def words_from(self) -> str:
        """The source (a path, a Hugging Face name) of the word table; the run uses its vocabulary. "" if random."""
        bert = str(getattr(self, "bert_weights", "random"))
        return self.model_weights or ("" if bert == "random" else bert)


class Model(nn.Module):
    """A network, with what the trainer needs to know about it."""

    blocks: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Classes of repeated modules: FSDP2 shards them in units, and each is compiled separately."""
    methods: ClassVar[tuple[str, ...]] = ()
    """Methods besides `forward` that compute: under FSDP2 they gather the shards themselves."""
    towers: tuple[str, str] | None = None
    """Names of two outputs [B, D] with L2 norm 1, (video or picture, text), whose dot products are similarities; None:
    no towers, so no retrieval by dot product."""
    towers_class: ClassVar[type[nn.Module] | None] = None
    """The base class with `embed_video` and `embed_text`, built from its section's values alone. Its module and those
    that it imports need torch alone: an export carries their sources. `reset_buffers` fills what no file holds."""
    can_match = False
    """Whether the model can match any picture with any text: by `visual_input(rows)` -> (visual input [B, ...], its
    mask [B, ...]) and `match(visual input, mask, ids, mask of ids)` -> logits [B, 2] (no match, match)."""
    config: Any
    """The section that the model was built from."""
    weight_sources: dict[str, str]
    """The source of each part's initial weights."""

    def forward(self, batch: Rows, only: Collection[str] = ()) -> Any:
        """Returns a named tuple of tensors (None for outputs that the batch doesn't ask for).

        `only` names the outputs that are needed; others may be left out. The random draws of a pass with `only` must be
        the first ones of a pass without it, so that its random state can be replayed.
        """
        raise NotImplementedError

    def is_decayed(self, name: str, parameter: Tensor, *, decay_norms: bool) -> bool:
        """Whether weight decay applies: not to biases, embeddings and (unless `decay_norms`) the gains of norms."""
        if name.endswith("bias") or "embed" in name or "LayerNorm" in name:
            return False
        return parameter.ndim > 1 or decay_norms

    def mark_trainable(self, objectives: Collection[str], view: str, outputs: Collection[str]) -> None:
        """Makes trainable exactly those parameters that get a gradient from these objectives with this view of samples
        (a name from train/data/registry.py), as far as the model's configuration lets them train. `outputs`: those that
        losses over the global batch read.

        This matters because DDP would wait forever for a gradient that never comes.
        """

    def readings(self) -> dict[str, Tensor | float]:
        """The model's own values for the record of a step (a temperature). Tensors may be sharded like parameters; the
        caller gathers them, on all ranks together."""
        return {}

    def after_step(self) -> None:
        """Called on all ranks after each optimiser step."""

    def title(self) -> str:
        """The model's name and size in a few words, for display."""
        return str(self.config.preset)
