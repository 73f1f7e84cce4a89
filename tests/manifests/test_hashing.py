"""The hashes of seeded choices: of seed and content alone, and the same for ever."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from manifests.hashing import hash_name, hash_texts, splitmix64


@given(st.lists(st.text(min_size=0, max_size=70), max_size=20), st.integers(0, 2**63 - 1))
def test_a_hash_depends_on_seed_and_text_alone(texts: list[str], seed: int) -> None:
    together = hash_texts(pa.array(texts, pa.string()), seed)
    alone = [hash_texts(pa.array([t], pa.string()), seed)[0] for t in texts]
    assert together.tolist() == alone
    sliced = hash_texts(pa.array(["x", *texts], pa.string()).slice(1), seed)
    assert sliced.tolist() == alone


def test_hashes_are_pinned_since_a_committed_data_set_depends_on_them() -> None:
    ids = pa.array(["dQw4w9WgXcQ", "", "a", "abcdefgh", "abcdefghi"])
    assert [f"{h:016x}" for h in hash_texts(ids, 7).tolist()] == [
        "4bcad6ad30c1c71b",
        "b8b4c2977eabce45",
        "5b5c48fc383ca605",
        "a01b510ad5dad03a",
        "5cae4b56a7e1cce1",
    ]


def test_splitmix64_gives_the_published_sequence() -> None:
    """The first outputs for seed 1234567 of the reference implementation (prng.di.unimi.it/splitmix64.c)."""
    golden_gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + step * golden_gamma) % 2**64 for step in range(3)], dtype=np.uint64)

    assert splitmix64(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_hashed_name_is_pinned_and_depends_on_each_argument() -> None:
    assert hash_name(3, "split", "abc") == 140853726247725325
    assert len({hash_name(3, "split", "abc"), hash_name(4, "split", "abc"), hash_name(3, "spread", "abc")}) == 3
