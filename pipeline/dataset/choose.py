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
from manifests.reasons import Reason
from manifests.rows import ShardRow
from manifests.settings import Section, load_config
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
from pipeline.shards.files import FAILED, Piece, clip_number, read_rows

Pieces = dict[str, list[Piece]]
"""By video: its clips."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is asked for. `where`: which samples, "" for all; `scores`: a folder whose columns it may name."""

    balance: BalanceConfig
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

    def facts(self) -> dict[str, Any]:
        """What manifest.json says of it."""
        by_category = {str(i): dict(sorted(reasons.items())) for i, reasons in sorted(self.left_out.items())}
        chosen = {"where": self.choice.where, "model": self.model, "left_out": by_category}
        return {"balance": self.result.document(), "chosen": chosen}


class ChoiceConfig(Section):
    """What `--set` can change of a choice."""

    balance: BalanceConfig = BalanceConfig()


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
    selection = _balanced(pieces, before, choice.balance, seed)
    if not selection.result.clips_kept:
        raise UserError(f"--where {choice.where!r}, and the balance: no sample is left")
    _leave_out(pieces, _not_selected(pieces, selection))
    left_out: dict[int, Counter[str]] = defaultdict(Counter)
    for video_id, made in before.items():
        for row in (piece.row for piece in pieces[video_id]):
            if row["key"] in made:
                left_out[row["category_id"]][row["reason"] or "kept"] += 1
    return Chosen(choice, scores.head.model if scores else "", selection.result, left_out)


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
