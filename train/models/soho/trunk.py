"""SOHO's trunk: a ResNet with torchvision's layout and key names (without `fc`), of basic or bottleneck blocks.

The first stages can be frozen (fixed statistics, no gradient); the others train with the norm that the configuration
names.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from train.models.resnet import run_block
from train.models.soho.configs import SohoConfig
from train.models.soho.norms import BatchNorm, norm_of

BOTTLENECK_EXPANSION = 4


class Block(nn.Module):
    """A residual block of convolutions, each with its norm: two of 3x3 (basic), or 1x1, 3x3, 1x1 (bottleneck)."""

    def __init__(self, n_in: int, n_inner: int, stride: int, norm: str, *, bottleneck: bool) -> None:
        super().__init__()
        n_out = n_inner * (BOTTLENECK_EXPANSION if bottleneck else 1)
        shapes = (
            [(n_in, n_inner, 1, 1), (n_inner, n_inner, 3, stride), (n_inner, n_out, 1, 1)]
            if bottleneck
            else [(n_in, n_inner, 3, stride), (n_inner, n_out, 3, 1)]
        )
        self.n_convs = len(shapes)
        for i, (a, b, side, step) in enumerate(shapes, start=1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, side, step, padding=side // 2, bias=False))
            self.add_module(f"bn{i}", norm_of(norm, b))
        self.downsample = (
            nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), norm_of(norm, n_out))
            if stride != 1 or n_in != n_out
            else None
        )

    @property
    def has_live_statistics(self) -> bool:
        """Whether running the block a second time would update its running statistics again."""
        return any(isinstance(module, BatchNorm) for module in self.modules())

    def forward(self, x: Tensor) -> Tensor:
        """[b, n_in, h, w] -> [b, n_out, h/stride, w/stride]."""
        y = x
        for i in range(1, self.n_convs + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            if i < self.n_convs:
                y = F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Trunk(nn.Module):
    """The stem and four stages; the output is the last stage's map, at 1/32 of the picture's size."""

    def __init__(self, config: SohoConfig) -> None:
        super().__init__()
        self.frozen_stages = config.frozen_stages
        self.checkpointed = config.gradient_checkpointing
        width, bottleneck = config.trunk_width, config.trunk == "bottleneck"
        expansion = BOTTLENECK_EXPANSION if bottleneck else 1
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_of(self._norm(0, config.norm), width)
        n_in = width
        for k, depth in enumerate(config.trunk_depths):
            n_inner, norm = width * 2**k, self._norm(k + 1, config.norm)
            blocks = [Block(n_in, n_inner, 1 if k == 0 else 2, norm, bottleneck=bottleneck)]
            n_in = n_inner * expansion
            blocks += [Block(n_in, n_inner, 1, norm, bottleneck=bottleneck) for _ in range(depth - 1)]
            self.add_module(f"layer{k + 1}", nn.Sequential(*blocks))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        for module in self.frozen_modules():
            module.requires_grad_(False)

    def _norm(self, stage: int, norm: str) -> str:
        """The norm of a stage: a frozen stage freezes batch statistics; group norms have none."""
        return "frozen_batch" if stage <= self.frozen_stages and norm == "batch" else norm

    def frozen_modules(self) -> list[nn.Module]:
        """The modules that don't train: the stem and the frozen stages."""
        if self.frozen_stages < 0:
            return []
        return [self.conv1, self.bn1, *(self.get_submodule(f"layer{k}") for k in range(1, self.frozen_stages + 1))]

    def forward(self, x: Tensor) -> Tensor:
        """[b, 3, h, w] of normalised pixels -> [b, C, h/32, w/32]."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for k in range(1, 5):
            for block in self.get_submodule(f"layer{k}").children():
                assert isinstance(block, Block)
                x = run_block(block, x, checkpointed=self.checkpointed and not block.has_live_statistics)
        return x
