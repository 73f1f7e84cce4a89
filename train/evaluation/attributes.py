"""Scores by attribute of the captions: which attributes a model has learned, and how much each adds to R@1.

An attribute is defined by a regular expression with one group (`eval.attributes`): its value in a caption is what the
group matches. The attribute's *oracle* knows its value for every clip and nothing else, and picks at random among the
clips that have the right value. Comparing a model's R@1 with that of the oracles for one attribute, and for all but
one, shows which attributes its score comes from.

Whether a model can *tell apart* an attribute's values is measured separately: is a clip nearer to its own caption than
to the same caption with another value? The rest of the caption is then the same on both sides.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """Scores of an attribute over the text queries whose caption names it. Shares are 0..1."""

    right: float
    """Share of queries whose top-ranked clip has the query's value."""
    chance: float
    """The same for a clip drawn at random."""
    oracle_r1: float
    """R@1 of an oracle that knows this attribute alone."""
    without_r1: float
    """R@1 of an oracle that knows all attributes but this."""
    n: int
    distinguished: float = float("nan")
    """Share of clips that are nearer to their own caption than to it with any other value. NaN: not measured."""
    distinguished_chance: float = float("nan")
    """Chance level of `distinguished`: 1 / the number of values."""


def values_of(captions: Sequence[str], pattern: str) -> list[str]:
    """The attribute's value in each caption: the first non-empty group of the match, lower case; "" if none."""
    matches = (re.search(pattern, caption, re.IGNORECASE) for caption in captions)
    return [next((g.lower() for g in match.groups() if g), "") if match else "" for match in matches]


def oracle_r1(captions: Sequence[str], known: Sequence[Sequence[str]]) -> float:
    """Expected R@1 of an oracle that knows these attributes of each clip (`known`: a list of values per attribute).

    It draws a clip with the query's values, and is right if that clip has the query's caption.
    """
    looks = list(zip(*known, strict=True)) if known else [()] * len(captions)
    alike = Counter(looks)
    right = Counter(zip(captions, looks, strict=True))
    shares = [right[caption, look] / alike[look] for caption, look in zip(captions, looks, strict=True)]
    return sum(shares) / max(len(shares), 1)


def score_attributes(first: Tensor, captions: Sequence[str], patterns: Mapping[str, str]) -> dict[str, AttributeScore]:
    """The scores of each attribute; `first[i]` is the clip ranked first for query i, int64 `[n]`."""
    values = {name: values_of(captions, pattern) for name, pattern in patterns.items()}
    scores = {}
    for name, own in values.items():
        asked = [i for i, value in enumerate(own) if value]
        share = Counter(own)
        others = [v for other_name, v in values.items() if other_name != name]
        scores[name] = AttributeScore(
            right=sum(own[int(first[i])] == own[i] for i in asked) / max(len(asked), 1),
            chance=sum(share[own[i]] for i in asked) / max(len(asked) * len(own), 1),
            oracle_r1=oracle_r1(captions, [own]),
            without_r1=oracle_r1(captions, others),
            n=len(asked),
        )
    return scores


def swapped(caption: str, pattern: str, values: Sequence[str]) -> list[str]:
    """The caption once per value, with that value in place of its own; [] if it doesn't name the attribute."""
    match = re.search(pattern, caption, re.IGNORECASE)
    group = next((k for k in range(1, match.re.groups + 1) if match[k]), 0) if match else 0
    if not match or not group:
        return []
    start, stop = match.span(group)
    return [caption[:start] + value + caption[stop:] for value in values]


def share_distinguished(
    video: Tensor, captions: Sequence[str], pattern: str, embed: Callable[[list[str]], Tensor]
) -> tuple[float, float]:
    """(share of clips that are nearest to the caption with their own value, chance level); NaN if no caption names a
    value.

    `video` is `[n, d]`; `embed` gives the embeddings `[m, d]` of texts. A tie counts against the model.
    """
    own = values_of(captions, pattern)
    values = sorted(set(own) - {""})
    asked = [i for i, value in enumerate(own) if value]
    if not asked:
        return float("nan"), float("nan")
    texts = embed([text for i in asked for text in swapped(captions[i], pattern, values)])
    near = (texts.view(len(asked), len(values), -1) @ video[asked].unsqueeze(2)).squeeze(2)
    own_index = torch.tensor([values.index(own[i]) for i in asked])
    others = near.scatter(1, own_index[:, None], float("-inf")).amax(1)
    return float((near.gather(1, own_index[:, None]).squeeze(1) > others).double().mean()), 1 / len(values)


QUERIES_AT_ONCE = 1024


def first_answers(queries: Tensor, candidates: Tensor) -> Tensor:
    """The index of the candidate most similar to each query, int64 `[q]`."""
    parts = [(chunk @ candidates.T).argmax(1) for chunk in queries.split(QUERIES_AT_ONCE)] if len(queries) else []
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)
