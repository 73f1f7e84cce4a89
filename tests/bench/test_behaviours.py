"""The page of behaviours: it has them all, and each ends as the table of behaviours says."""

import re

from bench.behaviours import HEAD, Ends, rows
from manifests.reasons import Reason
from miniyoutube.misbehave import BEHAVIOURS
from tests.conftest import REPO

PAGE = REPO / "docs" / "lab" / "behaviours.md"
ROW = re.compile(r"\| (\*{0,2})`(\w+)`\1 \| (.*?) \| (\w+) \| (\w*) \| (\w+) \| .* \|")


def test_the_page_has_every_behaviour_with_the_verdict_that_it_should_have() -> None:
    text = PAGE.read_text()
    assert text.startswith(HEAD)
    found = {name: (bold, says, first, class_, then) for bold, name, says, first, class_, then in ROW.findall(text)}
    assert found.keys() == BEHAVIOURS.keys(), "python -m bench.behaviours > docs/lab/behaviours.md"
    for name, (bold, says, first, class_, then) in found.items():
        expected = BEHAVIOURS[name].expected
        assert says == BEHAVIOURS[name].says and not bold, name
        assert then == ("kept" if expected.kept_in_the_end else expected.reason), name
        assert class_ == ("" if first == "kept" else Reason(first).class_.value), name


def test_what_is_not_expected_is_in_bold() -> None:
    ends = Ends([{"private": "private", "good": "kept"}, {"private": "kept", "good": "kept"}], {"good": {"watch": 2}})
    unexpected, good = rows(ends)
    assert unexpected.startswith("| **`private`** |") and unexpected.endswith("| none |")
    assert good.startswith("| `good` |") and good.endswith("| kept | 2 pages |")
