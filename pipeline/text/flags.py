"""Flags in a clip's text, by patterns: profanity, personal data, and what a channel says about itself."""

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
_SHOW = r"(?:video|channel|episode|podcast|show|series|stream|newsletter|program)"
_PLACE = r"(?:twitter|x|instagram|tiktok|facebook|linkedin|youtube|spotify|apple|social|slack|discord|patreon|twitch)"
_DOMAIN = r"(?:www\.)?[\w-]+(?:\.| dot )(?:com|org|net|io|dev|ai|co|fm|tv|gg)\b"
_ABOUT_THE_CHANNEL = (
    # Subscribe, like, follow, comment, rate, share.
    r"(?:don't forget|remember|please|make sure|be sure|go ahead|consider|you can|and) (?:\w+ ){0,5}subscrib(?:e|ing)",
    rf"subscrib(?:e|ing) to (?:[\w']+ ){{0,4}}(?:{_SHOW}|youtube)|(?:here|button|free) to subscribe",
    r"subscribe (?:here|now|today|below|if you)|(?:like and|hit|press) subscribe|ring the bell",
    r"(?:hit|smash|click|press|tap)(?:ing)? (?:on )?(?:that|the) (?:\w+ ){0,3}(?:like (?:button|and)|subscribe|bell)",
    r"you(?:'re| are) (?:not |already )*a subscriber|becom(?:e|ing) a (?:patron|member|subscriber)",
    rf"(?:follow|find|reach) (?:us|me|(?:the|this) {_SHOW})(?: \w+)? (?:on|in) (?:\w+ )?{_PLACE}",
    rf"follow the {_SHOW}|find us online|on twitter (?:at|by|using)",
    r"(?:leav|giv|drop|writ)(?:e|ing)?(?: us| me)? an? (?:[\w-]+ ){0,3}(?:review|rating|comment|thumbs up)",
    rf"(?:leave|drop|give)(?: us| it| (?:this|the) {_SHOW})? a like|(?:like|share) (?:this|the|our) {_SHOW}",
    r"comments? (?:\w+ )?(?:down )?below|let (?:me|us) know (?:\w+ ){0,6}in the comments?",
    # Where else to look.
    r"links? (?:\w+ ){0,6}(?:in|on|under) (?:the|my|our) (?:\w+ ){0,2}(?:description|comments?|discord|bio|channel)",
    r"link(?:s|ed)?(?: \S+){0,6} (?:below|underneath|show ?notes)|in the (?:video )?description|on apple podcasts?",
    rf"(?:visit|sign up|learn more|find out more|apply|donate|register|available)(?: \S+){{0,9}} {_DOMAIN}",
    rf"(?:at|to|that's) {_DOMAIN}(?:/| slash )\w+|find (?:\w+ ){{1,9}}at {_DOMAIN}",
    rf"(?:go|head)(?: over)? to {_DOMAIN} (?:to|for|and (?:sign|use|enter))|go to {_DOMAIN}[.,] that's",
    r"(?:subscribe|sign up|join|get|scan|check out) (?:\w+ ){1,5}newsletter",
    r"(?:on|to) (?:my|our|the) (?:discord|substack)",
    rf"(?:check out|go (?:and )?watch) (?:my|our|his|her|their) (?:\w+ ){{0,3}}{_SHOW}",
    r"pre-?order|early access to|(?:past|bonus) episodes|episode library|episodes? coming up",
    r"wherever you (?:listen|get your podcasts)",
    # Support and sponsors.
    rf"(?:support|help) (?:the|this|our|my) {_SHOW}|(?:please|can|to) support us|patreon|merch",
    rf"(?:sponsored|brought to you|made possible) by|(?:our|proud|today's|this {_SHOW}'s) sponsors?|for sponsoring",
    r"(?:promo|discount|coupon|offer) code|use (?:the |my |our )?code \w+ (?:at|for|to) (?:checkout|get|\w+ off|\d+)",
    r"(?:percent|%) off (?:your|the|when|any|all|at)|(?:get|start|double|claim|for)(?: [\w-]+){0,4} free trial",
    # The end, for those who watch.
    r"thank(?:s| you)(?: \w+){0,4},? for (?:watching|listening|tuning in|viewing|subscribing)",
    r"thank(?:s| you) to (?:all|everyone|our|my) (?:\w+ ){0,3}(?:viewers|listeners|subscribers|patrons|supporters)",
    rf"(?:joining|listening to|watching)(?: us (?:on|for))? (?:this|another|today's) {_SHOW}",
    rf"(?:see|catch) (?:you|everyone|y'all)(?: \w+){{0,3}} (?:next (?:time|week|{_SHOW})|(?:in|at|on) the next)",
    r"be back (?:\w+ )?(?:next (?:time|week)|with (?:the|an|our) (?:next|another))|you(?:'ve| have) been listening to",
)
_BOILERPLATE = re.compile(rf"(?<!\w)(?:{'|'.join(_ABOUT_THE_CHANNEL)})\b", re.IGNORECASE)


def flags_of(text: str) -> list[str]:
    """The flags of a text: profanity, email, phone, long_number, address, birthday, boilerplate."""
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
    if _BOILERPLATE.search(text):
        flags.append("boilerplate")
    return flags


def _spoken_number(text: str) -> bool:
    """Whether at least seven digits are read out in a row, other than by counting."""
    for match in _SPOKEN_NUMBER.finditer(text):
        digits = " ".join(re.findall(r"[a-z]+", match[0].lower()))
        if not any(run in digits for run in _COUNTING) and len(set(digits.split())) > 1:
            return True
    return False
