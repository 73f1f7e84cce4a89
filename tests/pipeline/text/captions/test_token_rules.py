"""What a row's text is made of, token by token: kinds, texts and where each begins."""

import pytest

from pipeline.text.captions.tokens import (
    NO_LABELS,
    Labels,
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
