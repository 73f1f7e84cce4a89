"""What a row's text is made of, token by token: kinds, texts and where each begins."""

from collections import Counter

import pytest

from pipeline.text.captions.tokens import (
    NO_LABELS,
    Labels,
    count_labels,
    tokenize,
)


def kinds(text: str, *, labels: Labels | None = NO_LABELS, credits: bool = False, auto: bool = False) -> list[str]:
    """Kind and text of each token, once it is sure that each begins where it says."""
    tokens = tokenize(text, labels=labels, credits=credits, automatic=auto)
    for token in tokens:
        first = token.text.split()[0] if token.kind != "credit" else token.text
        assert token.text == "[__]" or text[token.offset :].lstrip().startswith(first), token
    return [f"{token.kind}:{token.text}" for token in tokens]


def words(*texts: str) -> list[str]:
    return [f"word:{text}" for text in texts]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("it goes on", words("it", "goes", "on")),
        ("  it\ngoes ", words("it", "goes")),
        ("what the [ __ ] is", [*words("what", "the"), "masked:[__]", *words("[__]", "is")]),
        ("a ♪♪ b", ["word:a", "sound:♪♪", "word:b"]),
        (">> so >>> he", ["speaker_change:>>", "word:so", "speaker_change:>>>", "word:he"]),
        ("- Yes\n- No", ["speaker_change:-", "word:Yes", "speaker_change:-", "word:No"]),
        ("- yes", words("-", "yes")),
        ("[There's] a lot", words("There's", "a", "lot")),
        ("[the one] I mean", words("the", "one", "I", "mean")),
        ("[  crowd\ncheers ] so", ["sound:[ crowd cheers ]", "word:so"]),
        ("(laughs) so (I think)", ["sound:(laughs)", *words("so", "(I", "think)")]),
        ("{door slams} so {the end}", ["sound:{door slams}", *words("so", "{the", "end}")]),
        ("so {xyz} it", ["word:so", "sound:{xyz}", "word:it"]),
        ("*sighs* *really* so", ["sound:*sighs*", *words("*really*", "so")]),
        ("[a b c d e f g music]", ["sound:[a b c d e f g music]"]),
        ("[a b c d e f g h music]", words("a", "b", "c", "d", "e", "f", "g", "h", "music")),
        ("[x1 x2 x3 x4 x5 x6 x7 x8]", ["sound:[x1 x2 x3 x4 x5 x6 x7 x8]"]),
        ("[x1 x2 x3 x4 x5 x6 x7 x8 x9]", words(*(f"x{n}" for n in range(1, 10)))),
    ],
)
def test_a_persons_text_is_words_sounds_and_marks(text: str, tokens: list[str]) -> None:
    assert kinds(text) == tokens


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Mary Smith: so it goes", "Mary Smith"),
        ("Mary: so it goes", ""),
        ("MARY: so it goes", "MARY"),
        ("Mary:", "Mary"),
        ('Mary: "So it goes"', "Mary"),
        ("Host 2: so it goes", "Host 2"),
        ("Host of it: so it goes", ""),
        ("Maria of the Sea: so it goes", "Maria of the Sea"),
        ("Maria runs: so it goes", ""),
        ("Question One: so it goes", ""),
        ("The Question: so it goes", ""),
        ("One Two Three Four Five: so", ""),
        ("mary: so it goes", ""),
        ("[MARY] so it goes", "MARY"),
        ("[BARKS] so it goes", ""),
        ("[SINGING] so it goes", ""),
        ("[MARY]", ""),
    ],
)
def test_a_name_at_the_beginning_of_a_line_is_a_speaker(text: str, label: str) -> None:
    found = [token for token in kinds(text) if token.startswith("speaker:")]
    assert found == ([f"speaker:{label}"] if label else [])
    assert not [token for token in kinds(text, labels=None) if token.startswith("speaker:")], (
        "not where words are timed"
    )
    marked = kinds(f">> {text}", labels=None)
    assert [token for token in marked if token.startswith("speaker:")] == found
    assert marked[0] == "speaker_change:>>", "what names a speaker behind a mark is one in any track"


def test_a_single_name_is_believed_once_it_comes_back() -> None:
    def first(text: str, n_sure: int = 0, **counts: int) -> str:
        return kinds(text, labels=Labels(Counter(counts), n_sure))[0]

    assert first("Mary: so", Mary=1) == "word:Mary:"
    assert first("Mary: so", Mary=2) == "speaker:Mary"
    assert first("mary: so", mary=2) == "word:mary:"
    assert first("mary: so", mary=3) == "speaker:mary"
    assert first("so: it", so=9) == "word:so:" and first("the: it", the=9) == "word:the:"
    assert first("[BARKS] so", BARKS=1) == "sound:[BARKS]"
    assert first("[COLES] so", COLES=2) == "speaker:COLES"
    texts = ["Mary: so\nJohn: it", "- Mary: goes", ">> John: on", "[ANN] yes", "no label", "Ann said so"]
    assert count_labels(texts) == (Counter(Mary=2, John=2, ANN=1), 4)


def test_a_single_name_is_believed_where_others_recur() -> None:
    texts = ["Mary: so", "Mary: it goes", "Mary: on", "John: Yes", "John's: It", "Result: It ends", "Paris: it ends"]
    labels = count_labels(texts)
    assert [kinds(text, labels=labels)[0].split(":")[0] for text in texts] == ["speaker"] * 4 + ["word"] * 3
    assert kinds(">> John: Yes", labels=None)[:2] == ["speaker_change:>>", "speaker:John"], "or behind a mark"
    sounds = count_labels(["[BARKS] so", "[BARKS] so", "[BARKS] so", "John: Yes"])
    assert kinds("John: Yes", labels=sounds)[0] == "word:John:"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("it ends. SPEAKER 2: so it goes", "SPEAKER 2"),
        ("it ends? Interviewer: so it goes", "Interviewer"),
        ("it ends... MARY: so it goes", "MARY"),
        ("it ends. Mary: so it goes", "Mary"),
        ("it ends. DR. COLE: so it goes", "DR. COLE"),
        ("it ends. John: so it goes", ""),
        ("it ends. Result: so it goes", ""),
        ("it ends. In 2014: so it goes", ""),
        ("it ends MARY: so it goes", ""),
        ("it ends. A: so it goes", ""),
    ],
)
def test_a_name_after_a_sentence_within_a_line_is_a_speaker(text: str, label: str) -> None:
    labels = count_labels(["Mary: so", "Mary: it", "MARY: so", text])
    found = [token for token in kinds(text, labels=labels) if token.startswith("speaker:")]
    assert found == ([f"speaker:{label}"] if label else [])
    spoken = " ".join(token[5:] for token in kinds(text, labels=labels) if token.startswith("word:"))
    assert spoken == (text.replace(f"{label}: ", "") if label else text)
    assert all(token.startswith("word:") for token in kinds(text, labels=None)), "not where words are timed"
