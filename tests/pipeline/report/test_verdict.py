"""The verdict: what was asked for is met or missed, and what to know before publishing."""

from dataclasses import replace
from pathlib import Path

from pipeline.engine.store.store import Store
from pipeline.report.audit import audit_of
from pipeline.report.data import ReportData, read_report_data
from pipeline.report.facts import read_facts
from pipeline.report.page import render
from pipeline.report.verdict import before_publishing, requirements
from tests.pipeline.report.test_page import a_run


def told(store: Store, data: ReportData) -> tuple[dict[str, bool], dict[str, bool]]:
    audit = audit_of(data, read_facts(store, data.clips))
    asked, known = requirements(data, audit), before_publishing(data, audit)
    return {one.text: one.is_met for one in asked}, {one.text: one.is_met for one in known}


def test_what_falls_short_is_named_and_what_is_met_too(tmp_path: Path) -> None:
    """Of six clips one category of three lacks one: it has two where it should have four."""
    store, _ = a_run(tmp_path)
    data = read_report_data(store)

    asked, known = told(store, data)

    assert asked["6 of 6 clips asked for"] and asked["every candidate is accounted for"]
    assert not asked["2 of 3 categories have their share; short: News & Politics"]
    assert not next(is_met for text, is_met in known.items() if text.startswith("no address is given yet"))
    card = {**data.manifest, "card": {"contact": "removals@hdvila.test"}}
    assert told(store, replace(data, manifest=card))[1]["removals are asked for at removals@hdvila.test"]


def test_where_nothing_was_listed_the_page_does_not_count_what_was(tmp_path: Path) -> None:
    store, _ = a_run(tmp_path)
    text = render(store, read_report_data(store))

    assert "were listed" not in text and "Each file or address that was looked at is a candidate." in text


def test_a_rare_flag_of_personal_data_is_named_among_many_commoner_ones(tmp_path: Path) -> None:
    store, _ = a_run(tmp_path)
    data = read_report_data(store)
    flags = {**{f"check_{k:02d}": 100 + k for k in range(15)}, "phone": 1}

    audit = audit_of(data, replace(read_facts(store, data.clips), flags=flags))

    said = [one.text for one in before_publishing(data, audit)]
    assert "1 flags of personal data in what is said (phone); data.where: 'not flags.phone' trains without them" in said
