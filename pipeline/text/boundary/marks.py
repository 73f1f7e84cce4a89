"""Finds sentence ends in text with marks (`FINAL_MARKS`), told apart from abbreviations, initials and numbers."""

import re
from collections.abc import Sequence
from itertools import pairwise

from pipeline.text.captions.words import CLOSING, FINAL_MARKS, ends_with_mark

_TITLES = """
mr mrs ms dr prof sr jr st mt ft gen col capt lt sgt cpl rev hon gov sen rep pres vs messrs mme mlle sra dra ing
"""
_ABBREVIATIONS = """
etc inc ltd co corp dept est approx no nos vol fig figs eq eqs sec ch pp ed eds al cf viz ca jan feb mar apr jun jul aug
sep sept oct nov dec mon tue wed thu fri sat sun ave blvd rd min max avg tel ext univ assn bros e.g i.e
"""
TITLES = frozenset(_TITLES.split())
"""Titles: a full stop after them does not end a sentence, since a name follows."""
ABBREVIATIONS = frozenset(_ABBREVIATIONS.split())
"""A full stop after these ends a sentence only before a capital letter (`etc. The`); months and days are among them."""
_STARTERS = """
the a an it this that these those we i you he she they but and so or if when what how why where who there then now in on
at as for to well yes no my our your his her their its because while after before since although however also let
"""
STARTERS = frozenset(_STARTERS.split())
"""Words that start a sentence after `U.S.`: a capital letter alone may be a name (`U.S. Army`)."""

_DOTTED = re.compile(r"(?:[^\W\d_]\.){2,}", re.IGNORECASE)
_INITIAL = re.compile(r"[^\W\d_a-z]\.")
_ENUMERATION = re.compile(r"\d{1,3}\)?\.")  # opening brackets are removed before: 12. (12.) (12). 12).
_OPENING = "\"“„‘'«([¿¡-–—「『（【《"


def sentence_ends(texts: Sequence[str]) -> list[bool]:
    """For each word of a text with marks, whether a sentence ends after it (not forced for the last word)."""
    cased = _is_cased(texts)
    ends = [False] * len(texts)
    starts_sentence = True
    for i, text in enumerate(texts):
        if ends_with_mark(text):
            following = texts[i + 1] if i + 1 < len(texts) else ""
            ends[i] = _ends_here(text, following, cased=cased, first=starts_sentence)
        starts_sentence = ends[i]
    return ends


def _is_cased(texts: Sequence[str]) -> bool:
    """Whether sentences start with capitals here: then a small letter after a dot suggests an abbreviation."""
    after = [b.lstrip(_OPENING)[:1] for a, b in pairwise(texts) if ends_with_mark(a)]
    letters = [char for char in after if char.isalpha()]
    return len(letters) > 0 and sum(1 for char in letters if char.isupper()) >= 0.5 * len(letters)


def _ends_here(text: str, following: str, *, cased: bool, first: bool) -> bool:
    core = text.rstrip(CLOSING)
    quoted = core != text
    stem = core.lstrip(_OPENING)
    next_word = following.lstrip(_OPENING)
    lower_next = cased and next_word[:1].islower()
    if not following:
        return True
    if not any(char.isalnum() for char in stem):
        return not lower_next
    if core[-1] in "…" or core.endswith(("..", "…")):
        return not lower_next
    if core[-1] in "?!":
        return not (lower_next and quoted)
    if core[-1] != ".":
        return core[-1] in FINAL_MARKS
    return _dot_ends(stem, next_word, quoted=quoted, lower_next=lower_next, first=first)


def _dot_ends(stem: str, next_word: str, *, quoted: bool, lower_next: bool, first: bool) -> bool:
    """Whether the single full stop at the end of `stem` ends its sentence."""
    bare = stem[:-1].lower()
    starter = next_word.rstrip(",.?!'’").split("'")[0].split("’")[0].lower() in STARTERS and next_word[:1].isupper()
    if bare in TITLES:
        return bare in ("st", "ft", "mt", "sr", "jr") and starter
    if first and _ENUMERATION.fullmatch(stem):
        return False
    if bare == "no":
        return not next_word[:1].isdigit()
    if bare in ABBREVIATIONS:
        return next_word[:1].isupper() and (starter or bare in ("etc", "inc", "ltd", "co", "corp", "al"))
    if _INITIAL.fullmatch(stem):
        return starter or stem == "I."
    if _DOTTED.fullmatch(stem):
        return bare in ("a.m", "p.m") and next_word[:1].isupper() if not starter else True
    return not (lower_next and (quoted or len(bare) == 1))
