"""Registers vit with the trainer, and gives it its first (initial) weights: random ones, then those of folders."""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.models.registry import ModelKind
from train.models.vit.configs import VitConfig
from train.models.vit.folders import read_towers
from train.models.vit.model import Vit
from train.models.vit.towers import Block
from train.models.weight_files import copy_keys, key_problems, load_file, weights_in

log = logging.getLogger(__name__)

EMBED_STD = 0.02
"""Standard deviation of new tables of tokens and of their positions, as CLIP's authors chose it for tokens."""

TIME_STD, PLACE_STD = 1.0, 0.5
"""Standard deviations of the embeddings of a frame's time and of a patch's place. What they are added to comes from a
norm, with a deviation of about 1: the 0.3 and 0.02 of hd_vila are so little beside it that which way a thing moves was
not learned."""


def build_vit(config: VitConfig, seed: int) -> Vit:
    """Builds a model with its initial weights, in training mode; the same config and seed give the same weights.

    UserError for a folder that is missing or doesn't fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Vit(config)
        init_random(model)
    model.weight_sources = dict.fromkeys(("image", "text", "rest"), f"random, seed {seed}")
    _fill_towers(model)
    if config.model_weights:
        _fill_model(model, Path(config.model_weights))
    for part, source in model.weight_sources.items():
        log.info("weights of %s: %s", part, source)
    return model.train()


def init_random(model: Vit) -> None:
    """Fills every parameter: Linear and convolution normal by their inputs, so that narrow towers carry a signal, too;
    zero where time comes to the sum."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=EMBED_STD)
    for stack in model.modules():
        if isinstance(stack, nn.ModuleList):
            for block in stack:
                if isinstance(block, Block):  # so many residual branches add up to what one would
                    block.attn.proj.weight.data.mul_((2 * len(stack)) ** -0.5)
                    block.mlp.fc2.weight.data.mul_((2 * len(stack)) ** -0.5)
    for name, parameter in model.named_parameters():
        if name.endswith(("_embed", ".probe")):
            # A picture's as the authors of CLIP and SigLIP draw them: 0.02 leaves a narrow tower blind to places.
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5 if name.startswith("image.") else EMBED_STD)
    nn.init.normal_(model.time.frames.time_embed, std=TIME_STD)
    nn.init.normal_(model.time.frames.pos_embed, std=PLACE_STD)
    nn.init.zeros_(model.time.out.weight)
    nn.init.zeros_(model.time.out.bias)


def _fill_towers(model: Vit) -> None:
    """Loads what the folders of both towers bring."""
    config, own = model.config, model.state_dict()
    for tower, source in (("image", config.image_weights), ("text", config.text_weights)):
        if source == "random":
            continue
        _, weights = read_towers(Path(source))
        wanted = {key for key in own if key.startswith(f"{tower}.")}
        wanted |= {key for key in own if key.startswith(f"{tower}_projection.") and _fits(weights.get(key), own[key])}
        if tower == "text" and config.image_weights == source:
            wanted |= {key for key in own if key.startswith("temperature.") and key in weights}
        model.weight_sources[tower] = f"{source}, {copy_keys(model, weights, wanted, source)} tensors"


def _fits(given: Tensor | None, own: Tensor) -> bool:
    """Whether a folder brings this projection; an image tower without a text tower, or another's, gets a new one."""
    return given is not None and given.shape == own.shape


def _fill_model(model: Vit, path: Path) -> None:
    weights = load_file(weights_in(path))
    own = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if problems := key_problems(weights, own):
        raise UserError(f"{path}: the weights are not those of such a model; {problems}")
    model.weight_sources["model"] = f"{path}, {copy_keys(model, weights, set(own), str(path))} tensors"


KIND = ModelKind(section=VitConfig, build=build_vit, view="hybrid", objectives=("contrastive", "distill"))
