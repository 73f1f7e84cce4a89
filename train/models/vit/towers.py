"""The towers of CLIP, SigLIP and DINOv2: one vision Transformer and one text Transformer, which differ in few places.

Shapes: n pictures, b texts, L tokens, C width of a tower, D width of both embeddings.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.resnet import run_block
from train.models.temperature import MAX_LOGIT_SCALE, Temperature
from train.models.vit.shapes import Activation, ImageShape, TextShape, TowersShape


class Mlp(nn.Module):
    """Linear, activation, Linear; swiglu: half of the first's output decides how much of the other half passes."""

    def __init__(self, width: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.fc1 = nn.Linear(width, 2 * inner if activation == "swiglu" else inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        x = self.fc1(x)
        match self.activation:
            case "quick_gelu":
                x = x * torch.sigmoid(1.702 * x)
            case "gelu":
                x = F.gelu(x)
            case "gelu_tanh":
                x = F.gelu(x, approximate="tanh")
            case "swiglu":
                gate, value = x.chunk(2, dim=-1)
                x = F.silu(gate) * value
        return self.fc2(x)


class Attention(nn.Module):
    """Multi-head attention with a fused projection: output order q, k, v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """[n, L, C] -> [n, L, C]."""
        q, k, v = (self._split(part) for part in self.qkv(x).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.proj(y.transpose(1, 2).reshape(x.shape))

    def ask(self, query: Tensor, x: Tensor) -> Tensor:
        """One query [C] for all, about x [n, L, C] -> [n, C]."""
        width = x.shape[-1]
        weights, biases = self.qkv.weight.split((width, 2 * width)), self.qkv.bias.split((width, 2 * width))
        q = self._split(F.linear(query, weights[0], biases[0]).expand(x.shape[0], 1, -1))
        k, v = (self._split(part) for part in F.linear(x, weights[1], biases[1]).chunk(2, dim=-1))
        return self.proj(F.scaled_dot_product_attention(q, k, v).flatten(1))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention, then an MLP: pre-norm residual branches, scaled by channel in DINOv2."""

    def __init__(self, shape: ImageShape | TextShape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, shape.eps)
        self.attn = Attention(shape.width, shape.heads)
        self.norm2 = nn.LayerNorm(shape.width, shape.eps)
        self.mlp = Mlp(shape.width, shape.mlp, shape.activation)
        scaled = shape.family == "dinov2"
        self.scale1 = nn.Parameter(torch.ones(shape.width)) if scaled else None
        self.scale2 = nn.Parameter(torch.ones(shape.width)) if scaled else None

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """[n, L, C] -> [n, L, C]."""
        branch = self.attn(self.norm1(x), causal)
        x = x + (branch if self.scale1 is None else branch * self.scale1)
        branch = self.mlp(self.norm2(x))
        return x + (branch if self.scale2 is None else branch * self.scale2)


class Pool(nn.Module):
    """SigLIP's last block: a learned query asks all patches, then an MLP."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(shape.width))
        self.attn = Attention(shape.width, shape.heads)
        self.norm = nn.LayerNorm(shape.width, shape.eps)
        self.mlp = Mlp(shape.width, shape.mlp, shape.activation)

    def forward(self, x: Tensor) -> Tensor:
        """[n, L, C] -> [n, C]."""
        y = self.attn.ask(self.probe, x)
        return y + self.mlp(self.norm(y))


class ImageTower(nn.Module):
    """Raw pixels to vectors: `forward` gives those of the patches, and `pool` makes one of them."""

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, shape: ImageShape, *, checkpointed: bool = False) -> None:
        super().__init__()
        self.shape, self.checkpointed = shape, checkpointed
        self.n_class = int(shape.family != "siglip")
        width, n_patches = shape.width, shape.grid[0] * shape.grid[1]
        self.patch_embed = nn.Conv2d(3, width, shape.patch, shape.patch, bias=shape.family != "clip")
        self.class_embed = nn.Parameter(torch.zeros(width)) if self.n_class else None
        self.position_embed = nn.Parameter(torch.zeros(self.n_class + n_patches, width))
        self.pre_norm = nn.LayerNorm(width, shape.eps) if shape.family == "clip" else None
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width, shape.eps)
        self.last = Pool(shape) if shape.family == "siglip" else None
        if shape.family == "dinov2":
            # Stood in for hidden patches when DINOv2 was trained; kept, because its folders hold it.
            self.register_buffer("mask_embed", torch.zeros(width))
        mean, std = (255 * torch.tensor(colour, device="cpu").view(3, 1, 1) for colour in (shape.mean, shape.std))
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_scale", 1 / std, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """[n, 3, h, w], raw 0..255 -> [n, (1 +) cells, C]: the class token, if any, then the patches, row by row."""
        pixels = (pixels.to(self.pixel_mean.dtype) - self.pixel_mean) * self.pixel_scale
        maps = self.patch_embed(pixels)
        x = maps.flatten(2).transpose(1, 2)
        if self.class_embed is not None:
            x = torch.cat([self.class_embed.to(x.dtype).expand(x.shape[0], 1, -1), x], dim=1)
        x = x + self.positions((maps.shape[-2], maps.shape[-1]))
        if self.pre_norm is not None:
            x = self.pre_norm(x)
        for block in self.blocks:
            x = run_block(block, x, False, checkpointed=self.checkpointed)
        return self.norm(x)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """[(1 +) cells, C]: the learned positions, resized (bicubic) if the grid is another."""
        if grid == self.shape.grid:
            return self.position_embed
        first, table = self.position_embed[: self.n_class], self.position_embed[self.n_class :]
        table = table.unflatten(0, self.shape.grid).permute(2, 0, 1)[None]
        table = F.interpolate(table, size=grid, mode="bicubic", align_corners=False)[0].flatten(1).T
        return torch.cat([first, table])

    def pool(self, x: Tensor) -> Tensor:
        """The tower's own vector of each picture, [n, C], from `forward`'s output."""
        return x[:, 0] if self.last is None else self.last(x)

    def cells(self, x: Tensor) -> Tensor:
        """The patches alone, [n, cells, C]."""
        return x[:, self.n_class :]


class TextTower(nn.Module):
    """Token ids to one vector for each text."""

    def __init__(self, shape: TextShape, vocab_size: int, *, checkpointed: bool = False) -> None:
        super().__init__()
        self.shape, self.checkpointed = shape, checkpointed
        self.token_embed = nn.Embedding(vocab_size, shape.width)
        self.position_embed = nn.Parameter(torch.zeros(shape.positions, shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, shape.eps)

    def forward(self, ids: Tensor) -> Tensor:
        """[b, L] int64 -> [b, C]. No mask: causal towers never read what follows the end, others read padding too."""
        x = self.token_embed(ids) + self.position_embed[: ids.shape[1]]
        for block in self.blocks:
            x = run_block(block, x, self.shape.family == "clip", checkpointed=self.checkpointed)
        return self.norm(x[torch.arange(x.shape[0], device=x.device), self._ends(ids)])

    def _ends(self, ids: Tensor) -> Tensor:
        """The position of the token whose vector counts, [b]."""
        if self.shape.family == "siglip":
            return torch.full_like(ids[:, 0], ids.shape[1] - 1)
        return ids.argmax(-1) if self.shape.end < 0 else (ids == self.shape.end).int().argmax(-1)


class Towers(nn.Module):
    """Both towers with their projections into one space, or an image tower alone."""

    def __init__(self, shape: TowersShape, *, temperature: float = 0.07, checkpointed: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.image = ImageTower(shape.image, checkpointed=checkpointed)
        self.image_projection = self.text = self.text_projection = self.temperature = None
        if shape.text is None:
            return
        self.text = TextTower(shape.text, shape.vocab_size, checkpointed=checkpointed)
        if shape.image.family != "siglip" or shape.image.width != shape.width:
            self.image_projection = nn.Linear(shape.image.width, shape.width, bias=False)
        self.text_projection = nn.Linear(shape.text.width, shape.width, bias=shape.text.family == "siglip")
        # CLIP's authors hold the scale at 100 at most; SigLIP's published ones lie above.
        most = float("inf") if shape.text.family == "siglip" else MAX_LOGIT_SCALE
        self.temperature = Temperature(temperature, -10.0, learned=True, max_scale=most)

    def project_image(self, pooled: Tensor) -> Tensor:
        """[n, C] -> [n, D], L2 norm 1."""
        projected = pooled if self.image_projection is None else self.image_projection(pooled)
        return F.normalize(projected, dim=-1)

    def embed_picture(self, pixels: Tensor) -> Tensor:
        """[n, 3, h, w], raw 0..255 -> [n, D], L2 norm 1: the image tower's own embedding."""
        return self.project_image(self.image.pool(self.image(pixels)))

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """[b, L] -> [b, D], L2 norm 1. The mask is not read."""
        assert self.text is not None and self.text_projection is not None
        return F.normalize(self.text_projection(self.text(input_ids)), dim=-1)
