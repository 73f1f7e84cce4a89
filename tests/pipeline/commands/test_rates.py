"""`rates DIR`: new rates of a live run."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.config import RunConfig
from pipeline.engine.run.status_files import read_control
from pipeline.engine.store.store import Store
from pipeline.outdir.identity import check_identity
from tests.pipeline.commands.program import said


def run(*words: str) -> str:
    return said("rates", *words)


@pytest.fixture
def out(tmp_path: Path) -> str:
    store = Store(str(tmp_path))
    check_identity(store, RunConfig(out=store.url))
    store.write_json("politeness.json", {"at": 0.0, "identities": [{"name": "one"}]})
    return str(tmp_path)


def test_rates_are_set_added_to_shown_and_reset(out: str) -> None:
    assert run(out) == "the configured rates apply\n"
    run(out, "--identity", "one=30", "--kind", "page=20")
    run(out, "--most", "page=60.5")
    control = read_control(Store(out))
    assert control.videos_per_hour == {"one": 30.0}
    assert control.identity_requests_per_minute == {"page": 20.0}
    assert control.most_requests_per_minute == {"page": 60.5}
    assert "most_requests_per_minute.page 60.5" in run(out)
    assert run(out, "--reset") == "the configured rates apply\n"
    assert not read_control(Store(out)).videos_per_hour


@pytest.mark.parametrize("word", ["two=5", "one=0", "one=fast", "one=inf", "one"])
def test_an_unknown_identity_or_no_rate_is_refused(out: str, word: str) -> None:
    with pytest.raises(UserError, match="--identity"):
        run(out, "--identity", word)
