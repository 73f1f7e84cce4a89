"""Re-uploads and repeated sentences."""

import random

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash, MinHashLSH

from pipeline.balance.groups import groups_of
from pipeline.balance.text_duplicates import (
    Sentences,
    bands,
    find_reuploads,
    near_pairs,
    signature_matrix,
)
from pipeline.config.balance import TextDuplicatesConfig
from pipeline.text.transcripts import MINHASH_SEED, N_PERMUTATIONS, signature

CONFIG = TextDuplicatesConfig()
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
    assert find_reuploads(*tables(videos), CONFIG) == {"b": "a", "c": "a"}


def test_the_same_words_at_another_length_are_no_reupload() -> None:
    talk = speech(1)
    videos = {"a": (talk, 200.0), "b": (talk, 203.0), "c": (talk, 0.0), "d": (talk, 0.0)}
    assert find_reuploads(*tables(videos), CONFIG) == {}
    assert find_reuploads(*tables(videos), TextDuplicatesConfig(duration_tolerance_s=5)) == {"b": "a"}


def test_short_transcripts_are_never_compared() -> None:
    videos = {"a": (["hello", "world"], 9.0), "b": (["hello", "world"], 9.0), "c": ([], 9.0), "d": ([], 9.0)}
    assert find_reuploads(*tables(videos), CONFIG) == {}


def test_no_transcripts_give_no_duplicates() -> None:
    assert find_reuploads(*tables({}), CONFIG) == {}


def test_the_join_on_columns_finds_what_the_library_s_index_finds() -> None:
    draw = random.Random(4)
    texts = []
    for i in range(150):
        talk = speech(i, 120)
        texts += [talk, *(misheard(talk, share, seed=i) for share in draw.sample([0.0, 0.01, 0.03, 0.08], 2))]
    matrix = signature_matrix(pa.chunked_array([[signature(t)] for t in texts], pa.binary()))
    first, second = near_pairs(matrix, np.full(len(texts), 60.0), CONFIG.jaccard, 2.0)
    index = MinHashLSH(num_perm=N_PERMUTATIONS, params=bands(CONFIG.jaccard))
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
        if i < j and sketch.jaccard(sketches[j]) >= CONFIG.jaccard
    }
    assert {(min(p), max(p)) for p in zip(first.tolist(), second.tolist(), strict=True)} == wanted
    assert len(wanted) > 100


def test_bands_cover_no_more_than_the_signature() -> None:
    for jaccard in (0.3, 0.5, 0.8, 0.95, 1.0):
        n_bands, n_rows = bands(jaccard)
        assert 0 < n_bands * n_rows <= N_PERMUTATIONS


def test_signatures_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 256"):
        signature_matrix(pa.chunked_array([[b"short"]], pa.binary()))


def repeated(parts: list[pa.Table], videos: pa.Table) -> dict[str, str]:
    sentences = Sentences(CONFIG)
    for part in parts:
        sentences.add(part)
    return sentences.repeats(videos)


def clips(rows: list[tuple[str, int, str]]) -> pa.Table:
    return pa.table(dict(zip(("video_id", "n", "text"), map(list, zip(*rows, strict=True)), strict=True)))


def test_a_sentence_that_a_channel_repeats_counts_once() -> None:
    greeting = ["Hello and welcome back!", "hello, and WELCOME back", "Hello — and welcome back…"]
    rows = [(f"v{i}", 2, text) for i, text in enumerate(greeting)]
    rows += [("x0", 0, "Hello and welcome back!"), ("v0", 5, "Something said only once here.")]
    rows += [(f"v{i}", 3, "Thank you.") for i in range(3)]
    channels = {"v0": "a", "v1": "a", "v2": "a", "x0": "b"}
    videos = pa.table({"video_id": list(channels), "channel_id": list(channels.values())})
    assert repeated([clips(rows)], videos) == {"v1.2": "v0.2", "v2.2": "v0.2"}


def test_parts_of_the_table_are_compared_with_each_other_and_one_video_with_itself_is_no_repeat() -> None:
    text = "This sentence stands in three parts."
    channels = {"v0": "a", "v1": "a", "v2": "a", "w": "b", "u0": "", "u1": "", "u2": ""}
    videos = pa.table({"video_id": list(channels), "channel_id": list(channels.values())})
    parts = [clips([(v, 0, text)]) for v in channels] + [clips([("w", n, text) for n in range(1, 4)])]
    assert repeated(parts, videos) == {"v1.0": "v0.0", "v2.0": "v0.0"}
    assert repeated([], videos) == {}


def test_pairs_connect_into_groups() -> None:
    pairs = [("c", "d"), ("a", "b"), ("b", "c"), ("x", "y")]
    assert list(groups_of(pairs)) == [["a", "b", "c", "d"], ["x", "y"]]
