"""The time left for a whole run: of a crawl from what it lacks, of a folder from what was read of it."""

from pathlib import Path

import pytest

from manifests.run_status import StageStatus
from manifests.settings import load_config
from miniyoutube.demo import demo_config
from pipeline.config import RunConfig
from pipeline.engine.store.store import Store
from pipeline.run.time_left import Foresight

LISTED = StageStatus(stage="list", done=15, total=15, seconds=30.0)


def foresee(tmp_path: Path, *settings: str) -> tuple[Foresight, Store]:
    store = Store(str(tmp_path / "out"))
    config = demo_config(tmp_path / "out", None, list(settings))
    return Foresight(config, store), store


def left(seconds: float | None) -> float:
    assert seconds is not None
    return seconds


def states(store: Store, **supply: float) -> None:
    """Writes how far the categories of a crawl were as of its last plan: of two with a quota of 100."""
    facts = [{"category_id": 1, "quota": 100.0, "supply": n, "state": state} for state, n in supply.items()]
    store.write_json("rounds/states/last.json", facts)


def test_a_crawl_goes_by_its_pace_once_something_is_found_and_made(tmp_path: Path) -> None:
    foresight, store = foresee(tmp_path)
    assert foresight({}) is None

    states(store, going=100.0)
    made = StageStatus(stage="media", done=10, total=16, seconds=600.0, in_flight=2, rows={"packs": 105, "clips": 600})
    assert foresight({"list": LISTED, "media": made}) == pytest.approx(3 * 600, rel=0.05), "a quarter of 420 took 600 s"

    states(store, dry=40.0, full=100.0)
    rows = made.model_copy(update={"rows": {"packs": 105, "clips": 140}})
    assert left(foresight({"list": LISTED, "media": rows})) < 400, "no more than what was found can be made"


def test_a_crawl_that_waits_for_what_it_looks_at_is_not_nearly_done(tmp_path: Path) -> None:
    foresight, store = foresee(tmp_path)
    states(store, full=100.0)
    made = StageStatus(stage="media", done=20, total=20, seconds=600.0, rows={"packs": 210, "clips": 600})
    looks = StageStatus(stage="extract", done=10, total=12, in_flight=2, seconds=600.0)
    waits = foresight({"list": LISTED, "extract": looks, "media": made})
    assert waits == pytest.approx(600, rel=0.2), "half of 420 took 600 s"

    over = foresight({"list": LISTED, "extract": looks.model_copy(update={"done": 12, "in_flight": 0}), "media": made})
    assert left(over) < 30, "no look is under way that could bring a clip"


def test_nothing_says_how_much_a_crawl_without_a_total_has_to_do(tmp_path: Path) -> None:
    foresight, _ = foresee(tmp_path, "balance.total=null")
    assert foresight({"list": LISTED}) is None


def test_a_folder_goes_by_its_batches_and_its_videos(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(bytes(10**6))
    (tmp_path / "run.yaml").write_text(f"crawl: {{sources: [folder]}}\nfolder: {{path: {tmp_path / 'videos'}}}\n")
    config = load_config(RunConfig, tmp_path / "run.yaml", ["out=x"])
    foresight = Foresight(config, Store(str(tmp_path / "out")))
    foresight({})

    read = StageStatus(stage="folder", done=2, total=4, seconds=10.0, rows={"videos": 20})
    media = StageStatus(stage="media", done=10, total=20, seconds=100.0, in_flight=2, rows={"packs": 80})
    half = foresight({"folder": read, "media": media})
    assert half == pytest.approx(300, rel=0.1), "10 of 40 took 100 s"

    over = media.model_copy(update={"done": 40, "total": 40, "in_flight": 0})
    assert left(foresight({"folder": read.model_copy(update={"done": 4}), "media": over})) < 15
