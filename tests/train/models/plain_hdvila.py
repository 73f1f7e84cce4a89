"""HD-VILA stage 1 as one would write it first, for test_golden_hd_vila.py.

Batched, but with separate normalisations, eager attention (scores, softmax, sum) and every frame through every block.
Functions over the tensors of a `train.models.HDVila`, so that both sides have the very same weights and gradients.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from train.models import Batch, HDVila

Weights = dict[str, Tensor]


def plain_embed(model: HDVila, batch: Batch) -> tuple[Tensor, Tensor]:
    """(video, text) [B, D], L2 norm 1, like `model.embed`."""
    w: Weights = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return plain_video(model, w, batch), plain_text(model, w, batch)


def plain_video(model: HDVila, w: Weights, batch: Batch) -> Tensor:
    """The hybrid encoder."""
    depths = model.config.trunk_depths
    b, s = batch.img_middle.shape[:2]
    layer3, layer4 = trunk(w, "cnn", normalise(w, batch.img_middle), depths)
    high = F.gelu(F.max_pool2d(F.conv2d(layer4, w["grid_encoder.0.weight"]), 2, 2))
    small = F.interpolate(layer3, scale_factor=0.25, mode="nearest")
    centre = F.gelu(F.conv2d(small, w["grid_encoder_low.0.weight"]))
    low3, _ = trunk(w, "cnn_low", normalise(w, batch.img_other), depths[:3])
    others = F.gelu(F.conv2d(low3, w["grid_encoder_low.0.weight"])).unflatten(0, (b * s, -1))
    k = others.shape[1] // 2
    frames = torch.cat([others[:, :k], centre[:, None], others[:, k:]], dim=1)  # [b, t, C, h, w]
    temporal = space_time(model, w, frames)[:, k]
    merged = F.gelu(F.conv2d(torch.cat([high, temporal], 1), w["grid_encoder_combine.0.weight"]))
    pooled = merged.unflatten(0, (b, s)).mean(dim=(1, 3, 4))
    return F.normalize(linear(w, "transformer.v_proj", pooled), dim=-1)


def plain_text(model: HDVila, w: Weights, batch: Batch) -> Tensor:
    """The text encoder."""
    bert, heads = "transformer.bert", model.config.n_heads
    mask = (1 - batch.attention_mask[:, None, None].float()) * -10000.0
    places = torch.arange(batch.input_ids.shape[1], device=batch.input_ids.device)
    x = F.embedding(batch.input_ids, w[f"{bert}.embeddings.word_embeddings.weight"])
    x = x + F.embedding(places, w[f"{bert}.embeddings.position_embeddings.weight"])
    x = x + F.embedding(torch.zeros_like(batch.input_ids), w[f"{bert}.embeddings.token_type_embeddings.weight"])
    x = norm(w, f"{bert}.embeddings.LayerNorm", x, 1e-12)
    for i in range(model.config.n_text_layers):
        layer = f"{bert}.encoder.layer.{i}"
        q, k, v = (linear(w, f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value"))
        y = linear(w, f"{layer}.attention.output.dense", attention(q, k, v, heads, mask))
        x = norm(w, f"{layer}.attention.output.LayerNorm", x + y, 1e-12)
        y = linear(w, f"{layer}.output.dense", F.gelu(linear(w, f"{layer}.intermediate.dense", x)))
        x = norm(w, f"{layer}.output.LayerNorm", x + y, 1e-12)
    weights = batch.attention_mask[..., None].float()
    pooled = torch.tanh(linear(w, f"{bert}.pooler1.dense", (x * weights).sum(1) / weights.sum(1)))
    return F.normalize(linear(w, "transformer.t_proj", pooled), dim=-1)


def normalise(w: Weights, frames: Tensor) -> Tensor:
    """Raw pixels, flattened to [frames, 3, h, w]."""
    return (frames.flatten(0, -4).float() - w["pixel_mean"]) * w["pixel_scale"]


def trunk(w: Weights, name: str, x: Tensor, depths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(output of the last stage but one, output of the last) of a ResNet."""
    x = F.relu_(conv_norm(w, f"{name}.conv1", f"{name}.bn1", x, stride=2, padding=3))
    x = F.max_pool2d(x, 3, 2, 1)
    outputs = []
    for stage, depth in enumerate(depths, start=1):
        for i in range(depth):
            x = bottleneck(w, f"{name}.layer{stage}.{i}", x, stride=2 if stage > 1 and i == 0 else 1)
        outputs.append(x)
    # The low-resolution trunk stops after stage 3, whose output is then returned twice.
    return outputs[2], outputs[-1]


def bottleneck(w: Weights, block: str, x: Tensor, stride: int) -> Tensor:
    """One residual block."""
    y = F.relu_(conv_norm(w, f"{block}.conv1", f"{block}.bn1", x))
    y = F.relu_(conv_norm(w, f"{block}.conv2", f"{block}.bn2", y, stride=stride, padding=1))
    y = conv_norm(w, f"{block}.conv3", f"{block}.bn3", y)
    if f"{block}.downsample.0.weight" in w:
        x = conv_norm(w, f"{block}.downsample.0", f"{block}.downsample.1", x, stride=stride)
    return F.relu_(y + x)


def conv_norm(w: Weights, conv: str, bn: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """A convolution and a batch normalisation with frozen statistics."""
    x = F.conv2d(x, w[f"{conv}.weight"], None, stride, padding)
    return F.batch_norm(x, w[f"{bn}.running_mean"], w[f"{bn}.running_var"], w[f"{bn}.weight"], w[f"{bn}.bias"])


def space_time(model: HDVila, w: Weights, frames: Tensor) -> Tensor:
    """The divided space-time Transformer: [b, t, C, h, w] -> the same, all frames."""
    b, t, _, rows, columns = frames.shape
    n, heads = rows * columns, model.config.n_heads
    x = frames.flatten(3).permute(0, 3, 1, 2)  # [b, n, t, C]
    x = x + model.timesformer.positions((rows, columns))[:, :, None] + model.timesformer.times(t)[:, None]
    for i in range(model.config.n_space_time_blocks):
        block = f"timesformer.blocks.{i}"
        y = norm(w, f"{block}.temporal_norm1", x, 1e-6).flatten(0, 1)
        y = fused_attention(w, f"{block}.temporal_attn", y, heads).unflatten(0, (b, n))
        x = x + linear(w, f"{block}.temporal_fc", y)
        y = norm(w, f"{block}.norm1", x, 1e-6).transpose(1, 2).flatten(0, 1)
        x = x + fused_attention(w, f"{block}.attn", y, heads).unflatten(0, (b, t)).transpose(1, 2)
        y = linear(w, f"{block}.mlp.fc1", norm(w, f"{block}.norm2", x, 1e-6))
        x = x + linear(w, f"{block}.mlp.fc2", F.gelu(y))
    return x.permute(0, 2, 3, 1).unflatten(3, (rows, columns))


def fused_attention(w: Weights, name: str, x: Tensor, heads: int) -> Tensor:
    """Self-attention with one projection for q, k and v: [b, L, C] -> the same."""
    q, k, v = linear(w, f"{name}.qkv", x).chunk(3, dim=-1)
    return linear(w, f"{name}.proj", attention(q, k, v, heads))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | float = 0.0) -> Tensor:
    """Scores, softmax, weighted sum; [b, L, C] each -> [b, L, C]."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if isinstance(mask, Tensor):
        scores = scores + mask
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    """A Linear."""
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def norm(w: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    """A LayerNorm."""
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)
