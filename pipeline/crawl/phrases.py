"""The phrases of a text that somebody else wrote: a few words of letters and digits, and nothing else.

At most MOST_WORDS words that follow each other, each of at most LONGEST_WORD letters. Addresses, handles, long numbers
and every sign end a phrase, so none holds what a search takes for an operator; nor does it begin or end with one of
English's commonest words.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from pipeline.text.filters import ENGLISH

MOST_WORDS, LONGEST_WORD, MOST_DIGITS = 3, 24, 4
"""A longer number may be somebody's."""
LEAST_LETTERS = 4
_BORDER = "|"
_APOSTROPHES = "'\u2019"


def phrases_of(title: str, about: Iterable[str]) -> set[str]:
    """Two or three words of a title that follow each other, also of a tag or a chapter, which may be one word alone."""
    found = set()
    for text, is_title in ((title, True), *((text, False) for text in about)):
        for part in parts_of(text):
            if len(part) == 1 and not is_title:
                found.add(part[0])
            for n in range(2, MOST_WORDS + 1):
                found |= {" ".join(part[at : at + n]) for at in range(len(part) - n + 1)}
    return {phrase for phrase in found if _may_be_searched(phrase)}


def parts_of(text: str) -> Iterator[list[str]]:
    """Words that follow each other with nothing but blanks between them."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    kept = (_BORDER if "@" in word or "://" in word or "www." in word else word for word in plain.split())
    for part in " ".join(kept).translate(_SIGNS).split(_BORDER):
        run: list[str] = []
        for word in filter(None, (word.strip(_APOSTROPHES) for word in part.split())):
            if len(word) > LONGEST_WORD or sum(map(str.isdigit, word)) > MOST_DIGITS:
                yield run
                run = []
            else:
                run.append(word)
        yield run


def _may_be_searched(phrase: str) -> bool:
    words = phrase.split()
    return sum(map(str.isalpha, phrase)) >= LEAST_LETTERS and ENGLISH.isdisjoint((words[0], words[-1]))


class _Signs(dict[int, str]):
    """For `str.translate`: signs of words and blanks as they are, all others a border; each is judged once."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        is_of_a_word = sign.isalnum() or sign in _APOSTROPHES or unicodedata.category(sign)[0] == "M"
        self[code] = sign if is_of_a_word or sign == " " else _BORDER
        return self[code]


_SIGNS = _Signs()
