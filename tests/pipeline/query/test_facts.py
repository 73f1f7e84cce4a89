"""What SQL knows of stages and reasons."""

import duckdb

from manifests.stages import ENDS
from pipeline.query.facts import make_facts
from pipeline.query.statements import run


def test_stages_have_their_order_and_those_of_packages_the_facts_of_ours() -> None:
    with duckdb.connect() as connection:
        make_facts(connection, ["clips__short", "fetch", "of nobody"])
        ranked = run(connection, "SELECT stage FROM stages WHERE stage = builds_on ORDER BY rank")
        assert [stage for (stage,) in ranked][: len(ENDS)] == list(ENDS)
        facts = dict(run(connection, "SELECT stage, (builds_on, void_by) FROM stages"))
        assert facts["clips__short"] == ("clips", "clips")
        assert facts["fetch"] == ("fetch", "packs")
        assert facts["of nobody"] == ("of nobody", "")


def test_reasons_say_what_they_mean_and_which_are_the_balances_own() -> None:
    with duckdb.connect() as connection:
        make_facts(connection, [])
        rows = run(connection, "SELECT class, meaning <> '', of_balance FROM reasons WHERE reason = 'over_quota'")
        assert rows == [("never", True, True)]
        assert run(connection, "SELECT of_balance FROM reasons WHERE reason = 'silent'") == [(False,)]
