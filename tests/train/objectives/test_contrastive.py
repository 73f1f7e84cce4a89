"""The contrastive term: captions that are the same are pushed apart unless they are to be ignored."""

from types import SimpleNamespace

import torch

from train.losses import contrastive_loss
from train.objectives.contrastive import CONTRASTIVE, loss
from train.rows import Rows


def test_the_setting_decides_about_equal_captions() -> None:
    generator = torch.Generator().manual_seed(0)
    video, text = (torch.nn.functional.normalize(torch.randn(4, 8, generator=generator), dim=1) for _ in range(2))
    outputs = SimpleNamespace(video=video, text=text, logit_scale=torch.tensor([10.0]), logit_bias=torch.zeros(1))
    rows = Rows(caption_ids=torch.tensor([1, 2, 1, 3]))

    def of(same_caption: str) -> torch.Tensor:
        return loss(outputs, rows, None, SimpleNamespace(kind="infonce", same_caption=same_caption))

    assert torch.equal(of("negative"), contrastive_loss(video, text, outputs.logit_scale))
    assert of("ignored") < of("negative")
    assert CONTRASTIVE.spans is not None, "it is computed over the global batch"
