"""What the trainer asks of a model, and of its section in the YAML. Models know nothing of the trainer.

The loop, checkpoints, distribution, optimiser and evaluation speak to a `Model` alone; a new one is registered in
train/models/registry.py, which says how.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from manifests.settings import Section, identity
from train.rows import Rows


class ModelSection(Section):
    """The keys that every model's section has; each declares them itself, with its own defaults and documentation."""

    sources: ClassVar[tuple[str, ...]] = ("model_weights",)
    """Keys that name first weights; their defaults ask for none."""

    kind: str
    preset: str
    vocab_size: int
    text_length: int
    model_weights: str
    allow_random: bool = identity(
        False,
        doc="go on with random numbers where first weights that were asked for cannot be had (no network); else that "
        "ends the run",
    )

    def without_sources(self) -> Self:
        """The same architecture from random weights: those of a checkpoint come next."""
        return self.model_copy(update={key: type(self).model_fields[key].default for key in self.sources})

    def words_from(self) -> str:
        """The source (a path, a Hugging Face name) of the word table: its vocabulary is the run's. "" where random."""
        bert = str(getattr(self, "bert_weights", "random"))
        return self.model_weights or ("" if bert == "random" else bert)


class Model(nn.Module):
    """A network with what its training has to know. Attributes are per class unless said otherwise."""

    groups: ClassVar[tuple[str, ...]] = ("model",)
    """Names of its parameter groups: keys of `optim.lr_scale`, `weight_decay_scale` and `optimizer`."""
    sgd_groups: ClassVar[tuple[str, ...]] = ()
    """Groups that SGD with momentum moves unless `optim.optimizer` says otherwise; AdamW moves the rest."""
    blocks: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Classes of the modules that repeat: FSDP2 shards them unit by unit, and each is compiled by itself."""
    methods: ClassVar[tuple[str, ...]] = ()
    """Methods besides `forward` that compute: under FSDP2 they gather the shards themselves."""
    towers: ClassVar[tuple[str, str] | None] = None
    """Names of two outputs [B, D] of L2 norm 1, (what is seen, text), whose products are similarities; None: no towers,
    and no retrieval by them."""
    can_match = False
    """Whether `look(rows)` -> (what is seen [B, ...], its mask [B, ...]) and `match(seen, mask, ids, mask of ids)` ->
    logits [B, 2] (no match, match) read any picture with any text."""
    config: Any
    """The section that it was built from."""
    weight_sources: dict[str, str]
    """Where each part's first weights came from."""

    def forward(self, batch: Rows, only: Collection[str] = ()) -> Any:
        """A named tuple of tensors (None: not asked for by the batch).

        `only` names the outputs that are needed: others may be left out. Random draws of a pass with `only` are the
        first ones of a pass without, so that its random state can be replayed.
        """
        raise NotImplementedError

    def group_of(self, name: str) -> str:
        """The group of a parameter by its name."""
        return self.groups[0]

    def is_decayed(self, name: str, parameter: Tensor, *, decay_norms: bool) -> bool:
        """Whether weight decay applies: not to biases and embeddings, nor (unless `decay_norms`) to norms' gains."""
        if name.endswith("bias") or "embed" in name or "LayerNorm" in name:
            return False
        return parameter.ndim > 1 or decay_norms

    def mark_trainable(self, objectives: Collection[str], view: str) -> None:
        """Take the gradient from every parameter that these objectives and this view of samples (a name of
        train/data/registry.py) leave without one, and give it to the others.

        What trains follows from them and the model's own configuration; DDP waits for ever for a gradient
        that never comes.
        """

    def readings(self) -> dict[str, Tensor | float]:
        """Numbers of the model itself for the record of a step (a temperature). Tensors may be sharded as parameters
        are; they are made whole by who asks, on all ranks together."""
        return {}

    def after_step(self) -> None:
        """Called on all ranks after each optimiser step."""

    def title(self) -> str:
        """Name and size for people, in a few words."""
        return str(self.config.preset)


UNIT_PARAMETERS = 4_000_000
"""Smaller blocks share a unit of sharding with their neighbours: a message each would cost more than it carries."""


def blocks_of(model: Model) -> Iterator[nn.Module]:
    """The blocks inside a model, in their order."""
    return (module for module in model.modules() if isinstance(module, model.blocks))


def shardable(model: Model) -> list[list[nn.Module]]:
    """The units that are sharded one by one: a large block, or neighbours of one parent, which run together."""
    units: list[list[nn.Module]] = []
    for parent in model.modules():
        open_unit, size = False, 0
        for block in parent.children():
            if not isinstance(block, model.blocks):
                continue
            if not open_unit:
                units.append([])
                size = 0
            units[-1].append(block)
            size += sum(parameter.numel() for parameter in block.parameters())
            open_unit = size < UNIT_PARAMETERS
    return units
