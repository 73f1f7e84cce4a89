"""Splits a row's text into its parts: words, sounds, speaker marks and labels, credits.

A bracket group is a sound in any language unless its content looks like an editor's insertion (`[There's] a lot`);
parentheses are speech unless they name a sound. Nothing is dropped: what is not a word becomes an event.
"""

import re
from collections import Counter
from typing import NamedTuple

MASKED = "[__]"
"""The word in place of profanity that the platform hid."""
STARS = "***"
"""Letters that the captions' author hid are at least this many: they are spoken, and no mark of the word before."""


class Token(NamedTuple):
    """A word (kind `word`) or an event of another kind; `offset` is where it starts in the row's text."""

    kind: str
    text: str
    offset: int


_TOKEN = re.compile(
    r"(?P<masked>\[\s*_+\s*\])"
    r"|(?P<bracket>[\[【［][^\[\]【】［］]{1,80}[\]】］])"
    r"|(?P<brace>\{[^{}]{1,80}\}|(?<!\S)\*[^\s*](?:[^*\n]{0,40}[^\s*])?\*(?!\S))"
    r"|(?P<paren>[(（][^()（）]{1,80}[)）])"
    r"|(?P<sound>[♪♫♬♩🎵🎶]+)"
    r"|(?P<speaker_change>>{2,3})"
    r"|(?P<word>[^\s♪♫♬♩🎵🎶]+)"
)
_SPECIAL = re.compile(r"[\[\]【［(（{*♪♫♬♩🎵🎶>:\n]|(?:^|\n)\s*[-–—]")
_SOUND = re.compile(
    r"music|laugh|applau|cheer|clap|sigh|cough|gasp|chuckl|giggl|sing|song|humm|whistl|scream|shout|yell|cry|sob|"
    r"groan|moan|snort|sniff|snor|breath|throat|bark|meow|beep|buzz|bell|ring|knock|door|phone|engine|noise|sound|"
    r"static|silence|inaudible|unintelligible|indistinct|crosstalk|background|foreign|explosion|gunshot|thunder|"
    r"crowd|audience|drum|guitar|piano|grunt|bleep|murmur|chatter|"
    r"musik|lachen|gelächter|beifall|musique|rire|applaud|música|musica|risas?|aplauso|risate|muzyka|śmiech|"
    r"музык|смех|смеет|аплодисм|овац|пение|音楽|拍手|笑|音乐|掌声|음악|박수|웃음",
    re.IGNORECASE,
)
_FUNCTION_WORDS = """
a an the this that these those it its he she they them we us you i me my your our his her their is are was were be been
being am do does did have has had will would can could should may might must not of to in on at by for with from as and
or but if so than then there here what which who when where why how sic le la les un une des du de et est der die das
ein eine und ist el los las una y es
"""
_PUNCTUATION = frozenset(
    ".,;:!?…-–—―\"“”„'‘’`´«»‹›()[]{}·•*~|_/\\¿¡。．！？｡、，；：・「」『』（）【】《》，،؛؟۔।॥።፧፣։՞။၊។៕།༎"
)
_OPENING = frozenset("\"“„'‘«‹([{（【「『《¿¡`")
_DASH = re.compile(r"\s*([-–—])(?=\s*[\"“«'‘(\[♪]?[^\W_a-zà-öø-ÿа-яё])")
_LABEL = re.compile(r"\s*([^\W\d_][^\s:]*(?:\s[^\s:]+){0,3}?)\s?:(?=\s|$)")
_INNER_LABEL = re.compile(
    r"[.?!…\"”’)\]—-]\s+([^\W\d_a-zà-öø-ÿа-яё][^\s:?!…]*(?:\s[^\W_a-zà-öø-ÿа-яё][^\s:?!…]*){0,2})\s?:(?=\s|$)"
)
_BRACKET_LABEL = re.compile(r"\s*\[((?!\s)[^\W\d_a-zà-öø-ÿа-яё][^\[\]a-zà-öø-ÿа-яё]{0,30})\]:?(?=\s+\S)")
_ROLES = """
interviewer interviewee host narrator speaker man woman boy girl moderator reporter announcer student teacher professor
presenter instructor journalist caller operator voiceover guest anchor male female doctor officer judge client
"""
_CREDIT = re.compile(
    r"\s*(transcri(?:ber|bed by|ption by)|review(?:er|ed by)|translat(?:or|ed by|ion by)|caption(?:s|ed|ing) by|"
    r"subtit(?:les|led) by|subtitles:|edit(?:or|ed) by|sous-titr\w*|tradu(?:ction|cteur|ttore|ctora?)|"
    r"relect(?:ure|eur)|"
    r"перевод\w*|редактор\w*|субтитры|untertitel\w*|übersetz\w*|revis(?:or|ore|ora))\b",
    re.IGNORECASE,
)
_PARTICLES = "of the de van der von le la du and & al el bin ibn"
_NOT_NAMES = """
note question answer example remember warning tip step today first second third so and but now okay well number part
chapter update problem solution result reason fact conclusion summary rule firstly secondly thirdly finally precisely
"""
_FUNCTION_SET, _PARTICLE_SET, _NOT_NAME_SET = (frozenset(t.split()) for t in (_FUNCTION_WORDS, _PARTICLES, _NOT_NAMES))
_ROLE_SET = frozenset(_ROLES.split())
SMALL_LABELS = 3
"""A lower-case name before a colon is a label if this many lines begin with it."""
SURE_LABELS = 3
"""Where names that recur or are in capitals begin this many lines, other names before a colon are labels, too."""


class Labels(NamedTuple):
    """Possible speaker names, and how often each begins a line or, in capitals, follows a sentence's end."""

    counts: Counter[str]
    n_sure: int
    """How often those that recur or are in capitals do."""


NO_LABELS = Labels(Counter(), 0)


def is_punctuation(text: str) -> bool:
    """Whether a token is only marks, which belong to a word beside them and are not spoken."""
    return text != MASKED and STARS not in text and all(char in _PUNCTUATION for char in text)


def is_note(token: Token) -> bool:
    """Whether a token is the sign of a song (♪)."""
    return token.kind == "sound" and token.text[0] in "♪♫♬♩🎵🎶"


def opens(text: str) -> bool:
    """Whether marks belong to the word that follows."""
    return all(char in _OPENING for char in text)


def count_labels(texts: list[str]) -> Labels:
    """Counts possible speaker names: a single word is believed only if it recurs, or others do."""
    counts: Counter[str] = Counter()
    in_brackets: set[str] = set()
    for text in texts:
        if ":" not in text and "[" not in text:
            continue
        for line in text.split("\n"):
            if match := _BRACKET_LABEL.match(line):
                in_brackets.add(match[1])
            match = match or _LABEL.match(line, _after_dash(line))
            if match:
                counts[match[1]] += 1
            counts.update(match[1] for match in _INNER_LABEL.finditer(line) if match[1].isupper())
    sure = (n for name, n in counts.items() if name not in in_brackets and (n > 1 or name.isupper()))
    return Labels(counts, sum(sure))


def tokenize(text: str, *, labels: Labels | None = None, credits: bool = False, automatic: bool) -> list[Token]:
    """Splits a row's text into tokens, in order.

    `labels` (from `count_labels`): a speaker's dash or name may begin a line or follow a sentence; None: they do not
    (word-timed tracks). `credits`: lines may be credits. `automatic`: no person wrote the brackets, so each is a sound.
    """
    if not _SPECIAL.search(text) and not credits:
        return [Token("word", match[0], match.start()) for match in _WORDS.finditer(text)]
    tokens: list[Token] = []
    at = 0
    for line in text.split("\n"):
        _tokenize_line(line, at, tokens, labels, credits)
        at += len(line) + 1
    return _split_groups(_join_broken_groups(text, tokens), text, automatic)


_WORDS = re.compile(r"\S+")


def _tokenize_line(line: str, at: int, tokens: list[Token], labels: Labels | None, credits: bool) -> None:
    """Makes tokens of a line's own marks (credit, dash, labels), and `rest` tokens of the rest."""
    if credits and _CREDIT.match(line):
        tokens.append(Token("credit", line.strip(), at))
        return
    start = 0
    marks = re.match(r"\s*(>{2,3})", line) or (_DASH.match(line) if labels is not None else None)
    label = _first_label(line, marks, labels) if labels is not None or marks else None
    if marks and (label or marks[1] not in (">>", ">>>")):
        tokens.append(Token("speaker_change", marks[1], at + marks.start(1)))
        start = marks.end()
    if label:
        tokens.append(Token("speaker", label[1], at + label.start(1)))
        start = label.end()
    for inner in _INNER_LABEL.finditer(line, start) if labels is not None else ():
        if _is_inner_label(inner[1], labels or NO_LABELS):
            _add_rest(line[start : inner.start(1)], at + start, tokens)
            tokens.append(Token("speaker", inner[1], at + inner.start(1)))
            start = inner.end()
    _add_rest(line[start:], at + start, tokens)


def _add_rest(text: str, at: int, tokens: list[Token]) -> None:
    if text.strip():
        tokens.append(Token("rest", text, at))


def _first_label(line: str, marks: re.Match[str] | None, labels: Labels | None) -> re.Match[str] | None:
    """The label that begins a line, after the marks of a change of speaker."""
    at, known = marks.end() if marks else 0, labels or NO_LABELS
    label = _BRACKET_LABEL.match(line, at)
    if label and _is_bracket_label(label[1], known.counts):
        return label
    label = _LABEL.match(line, at)
    return label if label and _is_label(label[1], line[label.end() :], known, marked=marks is not None) else None


def _after_dash(line: str) -> int:
    dash = _DASH.match(line) or re.match(r"\s*>{2,3}", line)
    return dash.end() if dash else 0


def _is_label(name: str, rest: str, labels: Labels, *, marked: bool) -> bool:
    """Whether words before a colon name a speaker, rather than begin a sentence (`One thing: …`).

    `marked`: marks of a change of speaker stand before them.
    """
    words = name.split()
    if _is_role(words):
        return True
    if len(words) == 1 and name.islower():
        return labels.counts[name] >= SMALL_LABELS and name not in _NOT_NAME_SET and name not in _FUNCTION_SET
    if not all(word[0].isupper() or word.lower() in _PARTICLE_SET or word[0] in "(#" for word in words):
        return False
    if not rest.strip():
        return True
    if name.isupper():
        return True
    if words[-1].lower() in _NOT_NAME_SET | _FUNCTION_SET or words[0].lower() in _NOT_NAME_SET:
        return False
    begun = rest.lstrip()
    if begun[0].isupper() and "'" not in name and "’" not in name and (marked or labels.n_sure >= SURE_LABELS):
        return True
    return len(words) > 1 or labels.counts[name] > 1 or begun[0] in '"“«'


def _is_role(words: list[str]) -> bool:
    return words[0].lower() in _ROLE_SET and all(word.isdigit() or word.lower() in _ROLE_SET for word in words)


def _is_inner_label(name: str, labels: Labels) -> bool:
    """Whether words before a colon after a sentence's end name a speaker: a role, or a name that others bear out."""
    if _is_role(name.split()):
        return True
    if name.isupper():
        return len(name) > 1 and (labels.counts[name] > 1 or labels.n_sure >= SURE_LABELS)
    return labels.counts[name] > 1 and name.lower() not in _NOT_NAME_SET | _FUNCTION_SET


def _is_bracket_label(name: str, labels: Counter[str]) -> bool:
    """Whether capitals in brackets before speech name a speaker (`[MARY] Hi`), rather than a sound (`[BARKS]`)."""
    if _is_sound(name) or name.strip(" _") == "":
        return False
    return labels[name] > 1 or not name.endswith(("S", "ING"))


def _join_broken_groups(text: str, tokens: list[Token]) -> list[Token]:
    """Joins adjoining `rest` tokens, so that a bracket group may run over a line end."""
    joined: list[Token] = []
    for token in tokens:
        if token.kind == "rest" and joined and joined[-1].kind == "rest":
            first = joined.pop()
            joined.append(Token("rest", text[first.offset : token.offset + len(token.text)], first.offset))
        else:
            joined.append(token)
    return joined


def _split_groups(tokens: list[Token], text: str, automatic: bool) -> list[Token]:
    """Splits `rest` tokens into words, sounds and speaker marks."""
    split: list[Token] = []
    for token in tokens:
        if token.kind != "rest":
            split.append(token)
            continue
        for match in _TOKEN.finditer(token.text):
            split.extend(_of_match(match, token.offset, automatic))
    return split


def _of_match(match: re.Match[str], at: int, automatic: bool) -> list[Token]:
    kind, text, offset = match.lastgroup or "word", match[0], at + match.start()
    if kind == "masked":
        return [Token("masked", MASKED, offset), Token("word", MASKED, offset)]
    if kind == "bracket":
        inner = text[1:-1]
        if _is_sound(inner) or (automatic and len(inner.split()) <= 8) or not _is_speech(inner):
            return [Token("sound", " ".join(text.split()), offset)]
        return _words(inner, offset + 1)
    if kind == "brace":
        if _is_sound(text[1:-1]) or (text[0] == "{" and not _is_speech(text[1:-1])):
            return [Token("sound", " ".join(text.split()), offset)]
        return _words(text, offset)
    if kind == "paren":
        if _is_sound(text[1:-1]):
            return [Token("sound", " ".join(text.split()), offset)]
        return _words(text, offset)
    return [Token(kind, text, offset)]


def _is_sound(inner: str) -> bool:
    return len(inner.split()) <= 8 and _SOUND.search(inner) is not None


def _is_speech(inner: str) -> bool:
    """Whether a bracket group in a manual track is an editor's insertion: it has the small words of a sentence."""
    words = [word.strip("".join(_PUNCTUATION)).lower() for word in inner.split()]
    contraction = any("'" in word or "’" in word for word in words)
    return contraction or len(words) > 8 or any(word in _FUNCTION_SET for word in words)


def _words(text: str, offset: int) -> list[Token]:
    return [Token("word", match[0], offset + match.start()) for match in _WORDS.finditer(text)]
