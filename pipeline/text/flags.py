"""Flags in a clip's text, by patterns: profanity and personal data."""

import re

_PROFANITY = """
fuck fucks fucked fucker fuckers fucking fuckin motherfucker motherfuckers motherfucking shit shits shitty shitting
bullshit asshole assholes bitch bitches bitching bastard bastards cunt cunts dick dicks dickhead cock cocks cocksucker
pussy slut sluts whore whores nigger niggers nigga niggas faggot faggots wanker wankers twat twats goddamn
"""
PROFANITY = frozenset(_PROFANITY.split()) | {"[__]"}
"""Words that flag a clip; the platform's mask `[__]` stands for one of them."""
_MASKED = re.compile(
    r"(?<!\S)(?:[a-z]{1,4}\*{2,}|[a-z]\*+[a-z]{1,3}|\*{3,})[a-z]{0,4}[.,;:!?\"']*(?!\S)", re.IGNORECASE
)
"""A word masked by the captions' author: `f***`, `sh*t`, `****`."""

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}\s?(?:@|\bat sign\b)\s?[\w-]+(?:\.|\sdot\s)[a-z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\d.])(?:\+?\d{1,3}[\s.-]?)?(?:\(\d{3}\)|\d{3})[\s.-]\d{3}[\s.-]\d{4}(?!\d)")
_LONG_NUMBER = re.compile(r"(?<![\d.,])\d(?:[\s-]?\d){8,}(?![\d.,])")
_SPOKEN_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64} at (?:g ?mail|yahoo|hotmail|outlook|i ?cloud|aol|proton ?mail) dot [a-z]{2,}\b"
    r"|\b(?:e-?mail|mail|write|reach|contact)\b(?: \S+){0,8} at [\w-]{1,64}(?: dot [\w-]{1,64}){0,4} dot [a-z]{2,}\b",
    re.IGNORECASE,
)
_DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_SPOKEN_NUMBER = re.compile(
    rf"\b{_DIGIT}(?:[ ,.-]{{1,3}}(?:(?:double|triple|hundred|area code) )?{_DIGIT}){{6,}}\b", re.IGNORECASE
)
_COUNTING = ("one two three four", "four three two one", "two four six eight")
_ADDRESS = re.compile(
    r"\b\d{1,5} (?:(?!(?:in|on|and|or|of|for|from|the|a|years?|minutes|miles|people) )[a-z]+ |\d+(?:st|nd|rd|th) ){1,3}"
    r"(?:street|st|avenue|ave|road|boulevard|blvd|lane|terrace)\b|\bp\.? ?o\.? box \d",
    re.IGNORECASE,
)
_MONTH = r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
_DAY = rf"(?:the )?(?:{_MONTH} (?:the )?\d|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH})"
_BIRTHDAY = re.compile(
    rf"\b(?:my|his|her|your) (?:birthday|date of birth)(?:'s| is| was)? (?:on )?{_DAY}|\bborn on {_DAY}", re.IGNORECASE
)


def flags_of(text: str) -> list[str]:
    """The flags of a text: profanity, email, phone, long_number, address, birthday."""
    flags = []
    masked = "*" in text and _MASKED.search(text) is not None
    if masked or any(word.lower().strip(".,;:!?\"'…-") in PROFANITY for word in text.split()):
        flags.append("profanity")
    if ("@" in text or " dot " in text) and (_EMAIL.search(text) or _SPOKEN_EMAIL.search(text)):
        flags.append("email")
    if _PHONE.search(text) or _spoken_number(text):
        flags.append("phone")
    elif _LONG_NUMBER.search(text):
        flags.append("long_number")
    if _ADDRESS.search(text):
        flags.append("address")
    if _BIRTHDAY.search(text):
        flags.append("birthday")
    return flags


def _spoken_number(text: str) -> bool:
    """Whether at least seven digits are read out in a row, other than by counting."""
    for match in _SPOKEN_NUMBER.finditer(text):
        digits = " ".join(re.findall(r"[a-z]+", match[0].lower()))
        if not any(run in digits for run in _COUNTING) and len(set(digits.split())) > 1:
            return True
    return False
