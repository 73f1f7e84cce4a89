"""What `AutoModel.from_pretrained(FOLDER, trust_remote_code=True)` makes of an exported folder.

An export carries this file as `modeling_hdvila.py`, with the sources of the modules that it imports: whoever loads it
has torch and transformers, not this package.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from train.models.towers import Towers


class HDVilaConfig(PretrainedConfig):
    """config.json of an export. `model`: the architecture; `model_fixed`: what no key of it sets."""

    model_type = "hd_vila"

    def __init__(
        self, model: dict[str, Any] | None = None, model_fixed: dict[str, Any] | None = None, **more: Any
    ) -> None:
        self.model = model or {}
        self.model_fixed = model_fixed or {}
        super().__init__(**more)


@dataclass
class HDVilaOutput(ModelOutput):
    """Embeddings [B, D], L2 norm 1: their dot products are similarities."""

    video_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


class HDVilaModel(PreTrainedModel):
    """Both towers. Pixels are raw RGB 0..255, uint8 or float; S segments of a clip, N frames a segment."""

    config_class = HDVilaConfig
    base_model_prefix = "towers"  # the file's keys lack this prefix
    main_input_name = "img_middle"

    def __init__(self, config: HDVilaConfig) -> None:
        super().__init__(config)
        keys = {**config.model, **config.model_fixed}
        self.towers = Towers(SimpleNamespace(**{key: _as_tuple(value) for key, value in keys.items()}))  # type: ignore[arg-type]
        first_names: dict[int, str] = {}
        # Tensors with two names have one in the file.
        self._tied_weights_keys = {
            name: first_names[id(tensor)]
            for name, tensor in self.named_parameters(remove_duplicate=False)
            if first_names.setdefault(id(tensor), name) != name
        }
        config.tie_word_embeddings = bool(self._tied_weights_keys)
        self.post_init()

    def forward(
        self,
        img_middle: Tensor | None = None,  # [B, S, 3, H, W]        the centre frame of each segment
        img_other: Tensor | None = None,  # [B, S, N-1, 3, H/4, W/4] the others in time order, a quarter as large
        input_ids: Tensor | None = None,  # [B, L]
        attention_mask: Tensor | None = None,  # [B, L], 1 for a real token
        **_: Any,
    ) -> HDVilaOutput:
        """Embeds what is given: pictures, text or both."""
        video = text = None
        if img_middle is not None or img_other is not None:
            video = self.embed_video(img_middle, img_other)
        if input_ids is not None:
            text = self.embed_text(input_ids, attention_mask)
        return HDVilaOutput(video_embeds=video, text_embeds=text)

    def embed_video(self, img_middle: Tensor | None, img_other: Tensor | None) -> Tensor:
        """[B, D], L2 norm 1. Either input may be None."""
        return self.towers.embed_video(img_middle, img_other)

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """[B, D], L2 norm 1."""
        mask = input_ids.new_ones(input_ids.shape) if attention_mask is None else attention_mask
        return self.towers.embed_text(input_ids, mask)

    def _init_weights(self, module: nn.Module) -> None:
        """Fills buffers that no file holds: transformers builds the model without values first."""
        if hasattr(module, "reset_buffers"):
            module.reset_buffers()  # type: ignore[operator]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
