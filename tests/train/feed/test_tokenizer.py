"""Captions become ids the way BERT does it, whatever stands in them."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import UserError
from tests.train.models.vit.published_towers import LENGTH, clip_tokenizer, siglip2_tokenizer
from train.feed.tokenizer import (
    SPECIAL,
    Tokenizer,
    load_tokenizer,
    tokenizer_from_captions,
    tokenizer_of_text,
)

CAPTIONS = ["A red car drives off.", "the red cat sleeps", "Cars and cats don't mix", "the end"]
WORDS = ["a", "red", "car", "drives", "off", ".", "the", "cat", "sleeps", "and", "cats", "don", "'", "t", "un", "##s"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return tokenizer_from_captions(CAPTIONS, vocab_size=200, seed=0)


def bert_vocabulary(folder: Path) -> Path:
    file = folder / "vocab.txt"
    file.write_text("\n".join([*SPECIAL, *WORDS, "caf", "##fe"]) + "\n", encoding="utf-8")
    return file


def test_a_caption_is_cls_pieces_sep_and_padding(tokenizer: Tokenizer) -> None:
    ids, mask = tokenizer.encode(["the red car", ""], 8)
    assert ids.shape == mask.shape == (2, 8)
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]]
    assert ids[0, 0] == 2 and ids[0, 4] == 3 and ids[1].tolist() == [2, 3, 0, 0, 0, 0, 0, 0]
    assert tokenizer.decode(ids[0].tolist()) == "the red car"


def test_a_long_caption_is_cut_and_still_ends_with_sep(tokenizer: Tokenizer) -> None:
    ids, mask = tokenizer.encode(["the red car " * 50], 8)
    assert ids[0, -1] == 3
    assert int(mask.sum()) == 8


def test_an_unseen_word_is_spelled(tokenizer: Tokenizer) -> None:
    ids, _ = tokenizer.encode(["scared"], 10)
    assert tokenizer.decode(ids[0].tolist()) == "scared"


def test_the_same_captions_give_the_same_ids_in_any_order() -> None:
    shuffled = random.Random(1).sample(CAPTIONS, len(CAPTIONS))
    first, second = (tokenizer_from_captions(c, vocab_size=60, seed=5) for c in (CAPTIONS, shuffled))
    assert first.encode(CAPTIONS, 12)[0].tolist() == second.encode(CAPTIONS, 12)[0].tolist()


def test_the_vocabulary_stays_within_its_size() -> None:
    assert tokenizer_from_captions(CAPTIONS, vocab_size=20, seed=0).vocab_size == 20
    assert tokenizer_from_captions([], vocab_size=20, seed=0).vocab_size == len(SPECIAL)


def test_more_captions_than_can_be_counted_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.feed.tokenizer.MAX_CAPTIONS", 2000)
    many = [f"word{i}" for i in range(3000)]
    first, again, other = (
        tokenizer_from_captions(many, vocab_size=500, seed=s).encode(many[:50], 4)[0].tolist() for s in (1, 1, 2)
    )
    assert first == again
    assert first != other


@given(text=st.text(max_size=200))
def test_no_text_breaks_it_or_smuggles_in_a_special_token(text: str) -> None:
    tokenizer = tokenizer_from_captions(CAPTIONS, vocab_size=60, seed=0)
    ids, mask = tokenizer.encode([text + " [SEP] [MASK] [PAD] [CLS]"], 16)
    n_tokens = int(mask.sum())
    inside = ids[0, 1 : n_tokens - 1].tolist()
    assert not set(inside) & {0, 2, 3, 4}
    assert ids[0, 0] == 2 and ids[0, n_tokens - 1] == 3


def test_a_saved_tokenizer_comes_back_equal(tokenizer: Tokenizer, tmp_path: Path) -> None:
    wanted = tokenizer.encode(CAPTIONS, 12)[0].tolist()
    tokenizer.save(tmp_path)
    for source in (tmp_path, tmp_path / "tokenizer.json", tmp_path / "vocab.txt"):
        assert load_tokenizer(source).encode(CAPTIONS, 12)[0].tolist() == wanted


@pytest.mark.foreign
def test_it_agrees_with_transformers_bert_tokenizer(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours = load_tokenizer(bert_vocabulary(tmp_path))
    texts = ["A red car drives off.", "The CAT sleeps, don't", "café cars unsleeps", "日本 cats", "x" * 150, "  "]
    ids, mask = ours.encode(texts, 12)
    theirs = transformers.BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=True)
    wanted = theirs(texts, padding="max_length", truncation=True, max_length=12)
    assert ids.tolist() == wanted["input_ids"]
    assert mask.tolist() == wanted["attention_mask"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", "[PAD]\n[UNK]\nred\n", r"\[CLS\]"),
        ("tokenizer.json", "{", "holds no WordPiece vocabulary"),
        ("tokenizer.json", "[" * 100_000, "holds no WordPiece vocabulary"),
        ("tokenizer.json", '{"model": {"vocab": [["a", 0.1]]}}', "holds no WordPiece vocabulary"),
        ("tokenizer.json", '{"model": {"vocab": {"a": 5}}}', "ids are not 0 to 0"),
    ],
)
def test_what_is_no_bert_vocabulary_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer here"):
        load_tokenizer(tmp_path)


OF_TOWERS = ["A red square, moves LEFT!", "it's blue", "", "café\n blue  red", "a " * 30]


@pytest.mark.foreign
@pytest.mark.parametrize("make", [clip_tokenizer, siglip2_tokenizer])
def test_tokenizers_of_towers_give_the_numbers_that_transformers_gives(tmp_path: Path, make: Any) -> None:
    import transformers

    make(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    wanted = theirs(OF_TOWERS, padding="max_length", truncation=True, max_length=LENGTH)
    tokenizer = load_tokenizer(tmp_path)
    (tmp_path / "saved").mkdir()
    tokenizer.save(tmp_path / "saved")

    for one in (tokenizer, load_tokenizer(tmp_path / "saved"), tokenizer_of_text(tokenizer.as_text())):
        ids, mask = one.encode(OF_TOWERS, LENGTH)
        assert ids.tolist() == wanted["input_ids"]
        assert mask.tolist() == wanted["attention_mask"]
        assert not one.can_mask


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}', "cannot be read"),
        ('{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}', "what it pads with"),
    ],
)
def test_a_tokenizer_of_towers_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UserError, match=said):
        load_tokenizer(tmp_path)
