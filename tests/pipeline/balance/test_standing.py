"""What exists of each candidate: what was rejected, and which repeat stands for its group."""

import pyarrow as pa

from hdvila_testing.plans import outcomes_of
from manifests.reasons import Reason
from pipeline.balance.ranking import rank_candidates
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from tests.pipeline.balance.worlds import MUSIC, away, candidates, made


def test_reasons_say_why_each_candidate_is_left_out() -> None:
    rows = [(f"v{i}", MUSIC, "", 2, 2_000) for i in range(8)] + [("empty", MUSIC, "", 0, 0)]
    ranked = rank_candidates(candidates(rows), 0)
    order = [v for v in ranked.video_id.to_pylist() if v != "empty"]
    private, failed, repeat = order[0], order[1], order[3]
    clips = {v: [1000, 1000] for v in order[2:6]}
    packs = pa.table(
        {
            "video_id": [failed, failed, *[v for v in clips for _ in clips[v]]],
            "n": [0, 1, *[n for v in clips for n in range(2)]],
            "duration_ms": [0, 0, *[1000] * 8],
            "status": ["failed"] * 2 + ["success"] * 8,
            "reason": ["silent", "upscaled", *[""] * 8],
        }
    )
    rejects = pa.table(
        {"video_id": [private, order[4]], "clip_id": ["", f"{order[4]}.0"], "reason": ["private", "silent"]}
    )
    duplicates = {Reason.DUPLICATE_VIDEO: {repeat: order[2]}}
    config = BalanceConfig(unit="clips", total=3)
    selection = select(ranked, outcomes_of([packs], rejects, duplicates), config)
    reasons = {row["video_id"]: row["reason"] for row in selection.table.to_pylist()}
    assert reasons == {
        private: "private",
        failed: "silent",
        order[2]: "",
        repeat: "duplicate_video",
        order[4]: "",  # one clip of it
        order[5]: "over_quota",
        order[6]: "not_needed",
        order[7]: "not_needed",
        "empty": "no_clips",
    }


def test_of_videos_that_repeat_each_other_the_first_that_can_be_had_stays() -> None:
    rows = [(f"v{i}", MUSIC, "", 1, 1000) for i in range(4)]
    ranked = rank_candidates(candidates(rows), 0)
    a, b, c, d = ranked.video_id.to_pylist()
    duplicates = {Reason.DUPLICATE_TEXT: {a: b, c: a}}
    clips = made({v: [1000] for v in (a, b, c, d)})
    config = BalanceConfig(unit="clips")

    def kept(outcomes: Outcomes) -> set[str]:
        table = select(ranked, outcomes, config).table
        return {row["video_id"] for row in table.to_pylist() if row["kept"]}

    assert kept(Outcomes(clips, duplicates=duplicates)) == {a, d}
    assert kept(Outcomes(clips, away({a: Reason.PRIVATE}), duplicates)) == {b, d}


def test_of_repeated_clips_one_stays_and_the_others_are_named() -> None:
    rows = [(f"v{i}", MUSIC, "ch", 2, 2000) for i in range(3)]
    ranked = rank_candidates(candidates(rows), 0)
    a, b, c = ranked.video_id.to_pylist()
    duplicates = {Reason.DUPLICATE_TEXT: {f"{b}.1": f"{a}.1", f"{c}.0": f"{a}.1", f"{c}.1": f"{a}.0"}}
    clips = made({v: [1000, 1000] for v in (a, b, c)})
    selection = select(ranked, Outcomes(clips, duplicates=duplicates), BalanceConfig(unit="clips"))
    kept = {row["video_id"]: (row["clips_kept"], row["reason"]) for row in selection.table.to_pylist()}
    assert kept == {a: ([0, 1], ""), b: ([0], ""), c: ([], "duplicate_text")}
    assert selection.dropped[f"{b}.1"] == (Reason.DUPLICATE_TEXT, f"{a}.1")
    assert set(selection.table.column("group").to_pylist()) == {min(a, b, c)}
