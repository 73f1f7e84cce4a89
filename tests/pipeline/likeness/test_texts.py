"""Re-uploads are found by their words, however transcripts come."""

import random

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH

from hdvila_testing.plans import find_reuploads, matches_in
from hdvila_testing.rows import commit_rows
from pipeline.engine.store.store import Store
from pipeline.likeness.texts import SAME_TALK, SameTalk, bands, kind_of, signature_matrix
from pipeline.text.transcripts import MINHASH_SEED, N_PERMUTATIONS, signature

WORDS = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("n", "r", "st", "ck", "ll", "mp", "sh", "")]


def speech(seed: int, n_words: int = 300) -> list[str]:
    return random.Random(seed).choices(WORDS, k=n_words)


def misheard(words: list[str], share: float, seed: int = 0) -> list[str]:
    """The same speech with a share of its words heard otherwise."""
    draw = random.Random(seed)
    return [draw.choice(WORDS) if draw.random() < share else word for word in words]


def tables(videos: dict[str, tuple[list[str], float]]) -> tuple[pa.Table, pa.Table]:
    """`transcripts` and `videos` of {video_id: (words, duration_s)}."""
    transcripts = pa.table(
        {
            "video_id": pa.array(list(videos), pa.string()),
            "n_words": pa.array([len(words) for words, _ in videos.values()], pa.int64()),
            "minhash": pa.array([signature(words) for words, _ in videos.values()], pa.binary()),
        }
    )
    durations = pa.array([d for _, d in videos.values()], pa.float64())
    return transcripts, pa.table({"video_id": pa.array(list(videos), pa.string()), "duration_s": durations})


def test_a_reupload_with_other_captions_is_found_and_other_videos_are_not() -> None:
    talk = speech(1)
    videos = {f"other{i}": (speech(100 + i), 200.0) for i in range(200)}
    videos |= {"a": (talk, 200.0), "b": (misheard(talk, 0.02), 201.5), "c": (talk, 200.0)}
    assert find_reuploads(*tables(videos)) == {"b": "a", "c": "a"}


def test_the_same_words_at_another_length_are_no_reupload() -> None:
    talk = speech(1)
    videos = {"a": (talk, 200.0), "b": (talk, 203.0), "c": (talk, 0.0), "d": (talk, 0.0)}
    assert find_reuploads(*tables(videos)) == {}
    assert find_reuploads(*tables(videos), SameTalk(duration_tolerance_s=5)) == {"b": "a"}


def test_short_transcripts_are_never_compared() -> None:
    videos = {"a": (["hello", "world"], 9.0), "b": (["hello", "world"], 9.0), "c": ([], 9.0), "d": ([], 9.0)}
    assert find_reuploads(*tables(videos)) == {}


def test_the_search_finds_what_the_library_s_index_finds() -> None:
    draw = random.Random(4)
    texts = []
    for i in range(60):
        talk = speech(i, 120)
        texts += [talk, *(misheard(talk, share, seed=i) for share in draw.sample([0.0, 0.01, 0.03, 0.08], 2))]
    matrix = signature_matrix(pa.chunked_array([[signature(t)] for t in texts], pa.binary()))
    index = MinHashLSH(num_perm=N_PERMUTATIONS, params=bands(SAME_TALK.jaccard))
    like = MinHash(num_perm=N_PERMUTATIONS, seed=MINHASH_SEED)
    sketches = [like.copy() for _ in texts]
    for sketch, row in zip(sketches, matrix, strict=True):
        sketch.hashvalues = row.astype(like.hashvalues.dtype)
    for i, sketch in enumerate(sketches):
        index.insert(i, sketch)
    wanted = {
        (i, j)
        for i, sketch in enumerate(sketches)
        for j in index.query(sketch)
        if i < j and sketch.jaccard(sketches[j]) >= SAME_TALK.jaccard
    }
    names = pa.array([f"{i:03d}" for i in range(len(texts))])
    rows = pa.table({"video_id": names, "n_words": [120] * len(texts), "minhash": [signature(t) for t in texts]})
    pairs = matches_in(kind_of(), rows.append_column("duration_s", pa.array(np.full(len(texts), 60.0))))
    found = zip(*(map(int, pairs.column(name).to_pylist()) for name in ("other_video_id", "video_id")), strict=True)
    assert set(found) == wanted and len(wanted) > 40


def commit(store: Store, transcripts: pa.Table, number: int) -> None:
    schema_row = {"kind": "auto", "language": "en", "format": "json3", "track": "en", "words": [], "events": "[]"}
    more = {"alignment_confidence": 1.0, "punctuated": True, "word_timed": True}
    rows = [schema_row | more | row for row in transcripts.to_pylist()]
    commit_rows(store, "transcripts", f"u{number}", {"transcripts": rows})
