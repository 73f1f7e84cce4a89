"""Evaluates held-out pairs with the Transformer over both modalities: matching, retrieval by matching, and flow.

    matching      each picture with its own sentence, and with a sentence of another picture with another caption: the
                  share of both that is judged correctly (chance 1/2)
    retrieval     every picture with every sentence, ranked by the matching score; ranks and ties count as in
                  train.evaluation.evaluate. n held-out pairs take n² passes of the Transformer and n of the picture
                  encoder
    flow          inter-modality flow (train.evaluation.flow), over matching pairs with nothing masked

The first two are for models with `visual_input` and `match` but no towers (SOHO, Visual Parsing); the flow is for all
three.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.config import TrainConfig
from train.data.index import Index
from train.data.loader import ClipDataset, read_once
from train.data.registry import Source
from train.evaluation.flow import Flow, FlowRecorder
from train.evaluation.scores import KS, chance_recall, ranks
from train.feed.batches import rows_of, view_of
from train.feed.tokenizer import Tokenizer
from train.models.wrapping import autocast, unwrap
from train.rows import Rows

PAIRS_AT_ONCE = 256
MAX_PAIRS = 1024
"""Most held-out pairs that are matched with each other (1024² passes); fewer if the run's eval.max_clips is less."""


@dataclass(frozen=True, slots=True)
class Matching:
    """Matching scores on n held-out pairs. Recalls are shares of 0..1, by k of R@k."""

    n_pairs: int
    accuracy: float
    text_to_image: dict[int, float]
    image_to_text: dict[int, float]
    chance: dict[int, float]

    def flat(self) -> dict[str, float]:
        """The scores as a flat dict, for JSON."""
        recalls = {f"text_to_image_r{k}": v for k, v in self.text_to_image.items()}
        recalls |= {f"image_to_text_r{k}": v for k, v in self.image_to_text.items()}
        return {"n_pairs": self.n_pairs, "itm_accuracy": self.accuracy, **recalls} | {
            f"chance_r{k}": v for k, v in self.chance.items()
        }

    def describe(self) -> str:
        """The scores as three lines of text."""
        lines = [f"matching of {self.n_pairs} held-out pairs: {self.accuracy:.1%} judged right (chance 50.0%)"]
        for name, recalls in (("text to image", self.text_to_image), ("image to text", self.image_to_text)):
            scores = "  ".join(f"R@{k} {recalls[k]:.1%} (chance {self.chance[k]:.1%})" for k in KS)
            lines.append(f"  retrieval by matching, {name}: {scores}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class HeldOutPairs:
    """The val split as chunks of rows, with the views of evaluation."""

    index: Index
    tokenizer: Tokenizer
    config: TrainConfig
    source: Source

    def chunks(self, limit: int = 0) -> Iterator[tuple[Rows, list[str]]]:
        """Yields (rows, captions) for the first `limit` pairs (0: all that eval.max_clips allows)."""
        config = self.config
        n = min(config.eval.max_clips or len(self.index), limit or len(self.index), len(self.index))
        dataset = ClipDataset(
            self.index,
            view_of(config),
            self.source,
            seed=None,
            n_workers=config.data.workers,
            storage_options=config.data.storage_options,
        )
        for loaded in read_once(dataset, range(n), config.data.workers, config.eval.batch):
            if loaded.keys:
                yield rows_of(loaded, self.tokenizer, config), loaded.texts


@torch.no_grad()
def score_matching(model: nn.Module, pairs: HeldOutPairs) -> Matching:
    """Matches all pictures with all sentences. UserError for other models (see the module), or fewer than two pairs."""
    inner: Any = unwrap(model)
    if not inner.can_match or inner.towers is not None:
        why = "has towers: `eval` scores its retrieval" if inner.towers else "answers"
        raise UserError(f"model.kind {inner.config.kind} of this run {why}; --matching is for models that match alone")
    inner.eval()
    device = next(model.parameters()).device
    seen: list[tuple[Tensor, Tensor]] = []
    texts: list[tuple[Tensor, Tensor]] = []
    captions: list[str] = []
    with autocast(pairs.config.loop.precision, device):
        for rows, words in pairs.chunks(MAX_PAIRS):
            seen.append(inner.visual_input(rows.to(device)))
            texts.append((rows.input_ids.to(device), rows.attention_mask.to(device)))
            captions += words
        if len(captions) < 2:
            raise UserError("matching needs two held-out pairs; the val split has fewer that can be read")
        scores = _all_scores(inner, _joined(seen), _joined(texts))
    return score_of_all(scores, captions)


def score_of_all(scores: Tensor, captions: list[str]) -> Matching:
    """The results from scores [n pictures, n sentences] (above 0: a match); pair i is on the diagonal."""
    ids = {caption: i for i, caption in enumerate(dict.fromkeys(captions))}
    group = torch.tensor([ids[caption] for caption in captions])
    right = group[:, None] == group[None]
    chance = {k: chance_recall(len(group), right.sum(1).tolist(), k) for k in KS}
    recalls = [{k: float((ranks(s, right) <= k).double().mean()) for k in KS} for s in (scores.T.contiguous(), scores)]
    # The same wrong partner in every evaluation: the next pair with another caption.
    n = len(captions)
    partner = [next((j % n for j in range(i + 1, i + n) if not right[i, j % n]), i) for i in range(n)]
    own = torch.arange(n)
    wrong = [float(scores[i, j] < 0) for i, j in enumerate(partner) if i != j]
    answers = (scores[own, own] > 0).double().tolist() + wrong
    return Matching(n, sum(answers) / len(answers), recalls[0], recalls[1], chance)


def _all_scores(inner: Any, seen: tuple[Tensor, Tensor], texts: tuple[Tensor, Tensor]) -> Tensor:
    """[n, n]: the match logit minus the no-match logit of every pair, on the CPU."""
    n = len(seen[0])
    scores = torch.zeros(n, n)
    for picture in range(n):
        for start in range(0, n, PAIRS_AT_ONCE):
            part = slice(start, min(start + PAIRS_AT_ONCE, n))
            rows = part.stop - start
            look = tuple(x[picture : picture + 1].expand(rows, *x.shape[1:]) for x in seen)
            logits = inner.match(*look, texts[0][part], texts[1][part]).float()
            scores[picture, part] = (logits[:, 1] - logits[:, 0]).cpu()
    return scores


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts])


@torch.no_grad()
def measure_flow(model: nn.Module, pairs: HeldOutPairs) -> Flow:
    """The flow on held-out pairs, with nothing masked. UserError if no layer of the model sees both modalities."""
    model.eval()
    device = next(model.parameters()).device
    with FlowRecorder(pairs.config.model.text_length).recording(unwrap(model)) as recorder:
        for rows, _ in pairs.chunks():
            matching = torch.ones(len(rows), dtype=torch.int64)
            asked = rows.having({"itm_labels": matching, "pair_ids": rows.input_ids, "pair_mask": rows.attention_mask})
            with autocast(pairs.config.loop.precision, device):
                model(asked.to(device))
    return recorder.result()
