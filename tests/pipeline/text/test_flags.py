"""Flags: profanity and personal data."""

import pytest

from pipeline.text.flags import flags_of


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("write to me at jane.doe@example.com today", ["email"]),
        ("mail jane at sign example dot com", ["email"]),
        ("call 555-123-4567 now", ["phone"]),
        ("call (555) 123-4567 now", ["phone"]),
        ("the number is 1234 5678 9012", ["long_number"]),
        ("what the [__] is this", ["profanity"]),
        ("what the f*** is this", ["profanity"]),
        ("that is a**** lie", ["profanity"]),
        ("oh sh*t, he said ****", ["profanity"]),
        ("we compute 2 ** 3 and *really* mean 5 * 4", []),
        ("write to jane dot doe at gmail dot com today", ["email"]),
        ("just email the team at example dot co dot uk", ["email"]),
        ("you can find us at example dot com", []),
        ("call five five five, one nine three four now", ["phone"]),
        ("eight hundred five five five zero one nine nine", ["phone"]),
        ("one two three four five six seven eight", []),
        ("don't forget to like and subscribe", ["boilerplate"]),
        ("hit the little bell and I put a link to it in the description", ["boilerplate"]),
        ("this video is sponsored by a mattress", ["boilerplate"]),
        ("use code STEAM for 10% off", ["boilerplate"]),
        ("we subscribe to the idea that the bell rings", []),
        ("in 1997 we made 200,000 jobs and 3.14159 pies", []),
        ("Dickens wrote about Scunthorpe", []),
    ],
)
def test_profanity_and_personal_data_are_flagged(text: str, flags: list[str]) -> None:
    assert flags_of(text) == flags
