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
        ("call five five five, one nine three four now", ["phone"]),
        ("eight hundred five five five zero one nine nine", ["phone"]),
        ("one two three four five six seven eight", []),
        ("run over the robbers and hit the cops like that", []),
        ("go to indeed.com and look for jobs", []),
        ("they give us a second answer or like a reason", []),
        ("he lives at 221 Baker Street", ["address"]),
        ("my birthday is on March 3rd", ["birthday"]),
        ("he was born on the 4th of July", ["birthday"]),
        ("the battle of 1806 Street fighting went on", []),
        ("in March 1997 we celebrated her birthday", []),
        ("we subscribe to the idea that the bell rings", []),
        ("in 1997 we made 200,000 jobs and 3.14159 pies", []),
        ("Dickens wrote about Scunthorpe", []),
    ],
)
def test_profanity_and_personal_data_are_flagged(text: str, flags: list[str]) -> None:
    assert flags_of(text) == flags
