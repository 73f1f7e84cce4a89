"""Leaves samples of a finished data set out, by what a model says of them, and balances what is left again.

A clip that is left out keeps its row, as one that could not be made: with its reason, low_match and its score, or that
its category or channel is full. The balance is that of a run, over what is left: quotas, then videos in seeded order.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import is_success
from manifests.embeddings import SCORES, Scores
from manifests.errors import UserError
from manifests.hashing import hash_texts
from manifests.reasons import Reason
from manifests.rows import ShardRow
from manifests.settings import Section, identity, load_config
from manifests.shards import Manifest, ShardEntry
from manifests.where import Expression, lines_in, with_flags, with_nulls
from pipeline.balance.clip_lists import ClipLists
from pipeline.balance.ranking import CANDIDATES, rank_candidates
from pipeline.balance.result import BalanceResult
from pipeline.balance.selection import Selection, select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from pipeline.config.shards import SplitConfig
from pipeline.engine.store.store import Store
from pipeline.likeness.meaning import Vectors, alike, beyond, concepts_of, unit, words_of
from pipeline.report.concepts import CONCEPTS_NAME
from pipeline.shards.files import FAILED, Piece, clip_number, read_rows

SHOWN, EXAMPLES = 24, 2
"""Concepts that the report shows, and clips of each."""
Pieces = dict[str, list[Piece]]
"""By video: its clips."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for. `where`: which samples, "" for all; `scores`: a folder whose columns it may name."""

    balance: MeaningBalance
    where: str = ""
    scores: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What came out: the balance, and how many clips of each category were left out, by reason."""

    choice: Choice
    model: str
    """The sha256 of the model that made the scores; "" without."""
    result: BalanceResult
    left_out: Mapping[int, Counter[str]]
    concepts: Mapping[str, int]
    """By key: the concept of each clip that was compared; {} without concepts."""

    def facts(self) -> dict[str, Any]:
        """What manifest.json says of it."""
        by_category = {str(i): dict(sorted(reasons.items())) for i, reasons in sorted(self.left_out.items())}
        chosen = {"where": self.choice.where, "model": self.model, "left_out": by_category}
        return {"balance": self.result.document(), "chosen": chosen}


class ConceptsConfig(Section):
    """How many clips may mean the same, by embeddings of pictures."""

    k: int = identity(256, ge=1, doc="concepts: clusters of all clips")
    cap: int = identity(1000, ge=1, doc="most clips of one concept")


class MeaningBalance(BalanceConfig):
    """A balance that also knows what clips mean."""

    concepts: ConceptsConfig | None = identity(None, doc="a cap for each of k clusters; null: none")
    alike: float = identity(
        0.0, ge=0, le=1, doc="cosine from which a clip repeats one of another video of its category; 0: none does"
    )


class ChoiceConfig(Section):
    """What `--set` can change of a choice."""

    balance: MeaningBalance = MeaningBalance()


def choice_of(manifest: Manifest, where: str, scores: str, overrides: list[str]) -> Choice | None:
    """What the command line asks for, with the balance that the data set was made with; None for all samples."""
    if not where and not overrides:
        if scores:
            raise UserError("--scores: nothing uses them; name one in --where")
        return None
    own = _said(manifest, "balance", BalanceConfig.model_fields)
    kept = [f"balance.{name}={json.dumps(value)}" for name, value in own.items()]
    return Choice(load_config(ChoiceConfig, None, [*kept, *overrides]).balance, where, scores)


def split_of(manifest: Manifest) -> dict[str, Any]:
    """By what a data set's splits were drawn, as settings; {} if its manifest does not say."""
    return _said(manifest, "shards.split", SplitConfig.model_fields)


def _said(manifest: Manifest, section: str, names: Iterable[str]) -> dict[str, Any]:
    config = manifest.head.get("config", {})
    return {name: config[f"{section}.{name}"] for name in names if f"{section}.{name}" in config}


def choose(source: Store, manifest: Manifest, pieces: Pieces, choice: Choice, seed: int) -> Chosen:
    """Leaves out of `pieces` what is not chosen. UserError if scores do not fit the data set, or nothing is left."""
    before = {video_id: _made(of_video) for video_id, of_video in pieces.items()}
    scores = Scores(choice.scores, **dict(source.options)) if choice.scores else None
    entries = [entry for entry in manifest.shards if entry.nsamples]
    if scores:
        scores.refuse_others(manifest, entries)
    low = _low_matches(source, entries, choice.where, scores) if choice.where else {}
    _leave_out(pieces, {key: (Reason.LOW_MATCH, detail) for key, detail in low.items()})
    concepts = _leave_out_by_meaning(pieces, scores, entries, choice.balance, seed)
    selection = _balanced(pieces, before, choice.balance, seed)
    if not selection.result.clips_kept:
        raise UserError(f"--where {choice.where!r}, and the balance: no sample is left")
    _leave_out(pieces, _not_selected(pieces, selection))
    left_out: dict[int, Counter[str]] = defaultdict(Counter)
    for video_id, made in before.items():
        for row in (piece.row for piece in pieces[video_id]):
            if row["key"] in made:
                left_out[row["category_id"]][row["reason"] or "kept"] += 1
    return Chosen(choice, scores.head.model if scores else "", selection.result, left_out, concepts)


def _made(pieces: Iterable[Piece]) -> dict[str, Piece]:
    return {piece.row["key"]: piece for piece in pieces if piece.sample}


def _low_matches(source: Store, entries: Iterable[ShardEntry], where: str, scores: Scores | None) -> dict[str, str]:
    """{key: its scores in words} of the samples for which an expression is false, or says nothing."""
    expression = Expression("--where", where, lambda name: lines_in(name, **dict(source.options)))
    low: dict[str, str] = {}
    for entry in entries:
        rows = read_rows(source, entry.url)
        rows = with_flags(with_nulls(rows.filter(is_success(rows["status"]))), expression.flags)
        if scores:
            rows = scores.added(rows, scores.of(entry))
        rejected = rows.filter(pc.invert(expression.truths(rows).fill_null(False)))
        for row in rejected.select(["key", *(SCORES if scores else ())]).to_pylist():
            known = [f"{name} {row[name]:.6g}" for name in SCORES if row.get(name) is not None]
            low[row["key"]] = ", ".join(known) or "nothing is known of it"
    return low


def _leave_out_by_meaning(
    pieces: Pieces, scores: Scores | None, entries: Iterable[ShardEntry], config: MeaningBalance, seed: int
) -> dict[str, int]:
    """Leaves out what repeats other clips by its embedding, and what exceeds the cap of its concept; {key: concept}."""
    if not config.concepts and not config.alike:
        return {}
    if scores is None or not scores.head.width:
        raise UserError(
            "balance.concepts, balance.alike: need embeddings: --scores with a folder of `hdvila-train embed`"
        )
    rows = {key: piece.row for of_video in pieces.values() for key, piece in _made(of_video).items()}
    parts = [scores.embedded(entry) for entry in entries]
    keys = np.concatenate([part.rows["key"].to_numpy() for part in parts])
    vectors = unit(np.concatenate([part.video for part in parts]))
    hashes = hash_texts(pa.array(keys, pa.string()), seed)
    order = [at for at in np.argsort(hashes, kind="stable").tolist() if keys[at] in rows]
    if config.alike:
        repeats = _repeats([rows[keys[at]] for at in order], vectors[order], config.alike, seed)
        _leave_out(pieces, repeats)
        order = [at for at in order if keys[at] not in repeats]
    if not config.concepts:
        return {}
    label = concepts_of(vectors[order], config.concepts.k, seed)
    over = [keys[order[at]] for at in beyond(label, config.concepts.cap).tolist()]
    _leave_out(pieces, dict.fromkeys(over, (Reason.OVER_CONCEPT_CAP, f"more than {config.concepts.cap}")))
    return {keys[at]: concept for at, concept in zip(order, label.tolist(), strict=True)}


def _repeats(rows: list[ShardRow], vectors: Vectors, at_least: float, seed: int) -> dict[str, tuple[str, str]]:
    """{key: (reason, what it is like)} of the clips that repeat an earlier one of their category."""
    found: dict[str, tuple[str, str]] = {}
    category = np.array([row["category_id"] for row in rows])
    for category_id in np.unique(category):
        of_it = np.flatnonzero(category == category_id)
        videos = [rows[at]["video_id"] for at in of_it]
        for i, (j, cosine) in alike(vectors[of_it], videos, at_least, seed).items():
            here, there = rows[of_it[i]]["key"], rows[of_it[j]]["key"]
            found[here] = (Reason.DUPLICATE_CLIP, f"as {there}, whose embedding has a cosine of {cosine:.3f}")
    return found


def put_concepts(store: Store, chosen: Chosen, pieces: Pieces, entries: Iterable[ShardEntry]) -> None:
    """Writes what the report shows of the largest concepts: how many clips, their words, a few that were kept."""
    rows = {p.row["key"]: p for of_video in pieces.values() for p in of_video if p.row["key"] in chosen.concepts}
    keys = list(rows)
    label = np.array([chosen.concepts[key] for key in keys], np.int64)
    words = words_of([rows[key].row["caption"] for key in keys], label)
    kept = {concept: [key for key in keys if chosen.concepts[key] == concept and rows[key].sample] for concept in words}
    shard_of = {key: entry.url for entry in entries for key in read_rows(store, entry.url, ["key"])["key"].to_pylist()}
    sizes = Counter(label.tolist())
    shown = [
        {
            "n": n,
            "kept": len(kept[concept]),
            "words": words[concept],
            "examples": [
                {"key": key, "category_id": rows[key].row["category_id"], "shard": shard_of[key]}
                for key in kept[concept][:EXAMPLES]
            ],
        }
        for concept, n in sizes.most_common(SHOWN)
    ]
    store.write_json(CONCEPTS_NAME, {"concepts": shown, "n_concepts": len(sizes)})


def _leave_out(pieces: Pieces, reasons: Mapping[str, tuple[str, str]]) -> None:
    """Makes these clips, by key, ones that were not made."""
    for of_video in pieces.values():
        for at, piece in enumerate(of_video):
            if piece.sample and piece.row["key"] in reasons:
                reason, detail = reasons[piece.row["key"]]
                changed = {"status": FAILED, "reason": str(reason), "error_message": detail}
                of_video[at] = Piece(cast(ShardRow, {**piece.row, **changed}))


def _balanced(pieces: Pieces, before: Mapping[str, Mapping[str, Piece]], config: BalanceConfig, seed: int) -> Selection:
    """The balance of a run, of which `before` was promised and `pieces` were made."""
    rows = [_candidate(video_id, list(made.values())) for video_id, made in before.items() if made]
    candidates = pa.Table.from_pylist(rows, schema=CANDIDATES)
    left = {row["video_id"]: sorted(_clips(_made(pieces[row["video_id"]]).values())) for row in rows}
    starts = np.cumsum([0, *map(len, left.values())], dtype=np.int64)
    n, ms = (np.array([clip[k] for clips in left.values() for clip in clips], np.int32) for k in (0, 1))
    made = ClipLists(pa.array(list(left), pa.string()), starts, n, ms)
    return select(rank_candidates(candidates, seed), Outcomes(made), config)


def _candidate(video_id: str, made: list[Piece]) -> dict[str, Any]:
    row = made[0].row
    clips_ms = sum(ms for _, ms in _clips(made))
    names = {"video_id": video_id, "category_id": row["category_id"], "channel_id": row["channel_id"]}
    return {**names, "n_clips": len(made), "clips_ms": clips_ms}


def _clips(pieces: Iterable[Piece]) -> list[tuple[int, int]]:
    return [(clip_number(piece.row, piece.tar), piece.row["duration_ms"]) for piece in pieces]


def _not_selected(pieces: Pieces, selection: Selection) -> dict[str, tuple[str, str]]:
    """{key: (reason, detail)} of the clips that the balance leaves out."""
    reasons: dict[str, tuple[str, str]] = {}
    for row in selection.table.to_pylist():
        kept = set(row["clips_kept"])
        for key, piece in _made(pieces[row["video_id"]]).items():
            if clip_number(piece.row, piece.tar) not in kept:
                reasons[key] = (row["reason"] or Reason.OVER_QUOTA, "balanced again among what was left")
    return reasons
