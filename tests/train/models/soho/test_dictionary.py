"""The visual dictionary: it lives where the published rule collapses, and counts what is there once."""

import torch
from torch import Tensor

from train.models.soho.dictionary import Dictionary


def blobs(n: int, seed: int) -> Tensor:
    """Features around eight centres."""
    g = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(8, 16, generator=torch.Generator().manual_seed(99))
    return centres[torch.randint(8, (n,), generator=g)] + 0.1 * torch.randn(n, 16, generator=g)


def trained(*, published: bool, steps: int) -> Dictionary:
    torch.manual_seed(0)
    vq = Dictionary(64, 16, decay=0.4 if published else 0.9, floor=0.05, published=published).train()
    for step in range(steps):
        vq(blobs(200, step))
        if not published:
            vq.commit()
    return vq


def test_the_published_rule_collapses_from_zero_statistics_and_ours_does_not() -> None:
    published, ours = trained(published=True, steps=1), trained(published=False, steps=1)
    n_used = int((published.cluster_sum > 0).sum())
    assert int((published.embed == 0).all(1).sum()) == 64 - n_used
    assert not (ours.embed == 0).all(1).any()


def test_dead_entries_are_seeded_anew_where_the_published_rule_leaves_zeros() -> None:
    published, ours = trained(published=True, steps=60), trained(published=False, steps=60)
    cells = blobs(400, 1000)
    error = {name: float(vq.nearest(cells)[1].mean()) for name, vq in (("published", published), ("ours", ours))}
    assert int((published.embed.norm(dim=1) < 1e-3).sum()) > 32
    assert int((ours.embed.norm(dim=1) < 1e-3).sum()) == 0
    assert error["ours"] <= error["published"]
    assert ours.usage()["perplexity"] > published.usage()["perplexity"]
    assert ours.usage()["live_entries"] >= 32


def test_the_old_dictionary_serves_the_step_and_the_sums_come_after_it() -> None:
    vq = Dictionary(8, 4, decay=0.9, floor=0.0, published=False).train()
    before = vq.embed.clone()
    cells = torch.randn(20, 4)
    chosen, indices = vq(cells)
    assert torch.equal(vq.embed, before)
    assert torch.allclose(chosen, before[indices], atol=1e-6)
    vq.commit()
    assert not torch.equal(vq.embed, before)


def test_a_pass_without_gradients_is_not_counted_twice() -> None:
    vq = Dictionary(8, 4, decay=0.9, floor=0.0, published=False).train()
    cells = torch.randn(20, 4)
    with torch.no_grad():
        vq(cells)
    vq(cells)
    assert float(vq.collected_counts.sum()) == 20
