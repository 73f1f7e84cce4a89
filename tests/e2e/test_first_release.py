"""Output directories that version 0.1.0 began and that were stopped half-way go on, and end with a whole data set.

first_release.tar.xz was made by that version (`hdvila-pipeline run folder.yaml`, and `demo --n-videos 6` with
crawl.yaml), killed after the first commit of `media` and of `extract`. In `films` the video that was finished by then
is left out: nothing may ask for it again.
"""

import hashlib
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.sample import SampleJson
from manifests.settings import load_config
from pipeline.config import RunConfig
from pipeline.demo.demo_catalogue import demo_catalogue
from pipeline.demo.job import pointed_at, some_of
from pipeline.demo.server import MiniYouTube
from pipeline.engine.store import Store
from pipeline.report.summary import Delivered
from pipeline.run.road import run_pipeline

ARCHIVE = Path(__file__).with_name("first_release.tar.xz")
FILMS_THEN = "/tmp/resume/films"

pytestmark = pytest.mark.slow


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    filters: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # from Python 3.11.4 on
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, **filters)
    return tmp_path


def hashes(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def move_films(part: Path, films: Path) -> None:
    """The films lie in another folder now: rewrites the one absolute path that table `videos` holds."""
    table = pq.read_table(part)
    paths = [path.replace(FILMS_THEN, str(films)) for path in table.column("media_path").to_pylist()]
    assert all(str(films) in path for path in paths)
    index = table.schema.get_field_index("media_path")
    pq.write_table(table.set_column(index, "media_path", pa.array(paths, pa.string())), part)


def samples_of(tars: Iterable[Path]) -> dict[str, dict[str, bytes]]:
    """{key: {extension: bytes}} of the samples in tars."""
    found: dict[str, dict[str, bytes]] = {}
    for tar in tars:
        with tarfile.open(tar) as opened:
            for member in opened:
                key, _, extension = member.name.partition(".")
                found.setdefault(key, {})[extension] = opened.extractfile(member).read()  # type: ignore[union-attr]
    return found


def nothing_is_missing(delivered: Delivered) -> bool:
    funnel = delivered.manifest.head["funnel"]
    return delivered.n_missing == funnel["videos"]["missing"] == funnel["clips"]["missing"] == 0


def test_a_folder_run_goes_on_and_keeps_what_was_finished(begun: Path) -> None:
    out = begun / "folder"
    move_films(next(out.glob("videos/*.parquet")), begun / "films")
    committed = hashes(out / "commits")
    packed = samples_of([out / "packs" / "film-2.tar"])
    changes = [f"out={out}", f"folder.path={begun / 'films'}"]

    delivered = run_pipeline(load_config(RunConfig, begun / "folder.yaml", changes), mix=True)

    made = samples_of(out.glob("shards/*/*.tar"))
    assert nothing_is_missing(delivered) and delivered.manifest.head["funnel"]["videos"]["kept"] == 3
    assert len(made) == 6 and len(packed) == 2
    assert all(made[key] == members for key, members in packed.items()), "finished clips change no byte"
    assert committed.items() <= hashes(out / "commits").items(), "nothing that was committed is done again"
    for members in made.values():
        assert SampleJson.model_validate_json(members["json"]).video_id.startswith("film-")


def test_a_crawl_goes_on_with_the_round_that_it_was_in(begun: Path) -> None:
    out = begun / "crawl"
    committed = hashes(out / "commits")
    looked_at = set(Store(str(out)).read_table("videos", ["video_id"]).column("video_id").to_pylist())
    config = load_config(RunConfig, begun / "crawl.yaml", [f"out={out}"])

    with MiniYouTube(some_of(demo_catalogue(), 6)) as site:
        delivered = run_pipeline(pointed_at(site, config), mix=True)

    captions = {request.video_id for request in site.log.of("caption")}
    assert nothing_is_missing(delivered) and delivered.manifest.head["totals"]["samples"] > 0
    assert committed.items() <= hashes(out / "commits").items(), "nothing that was committed is done again"
    assert len(looked_at) == 2 and not looked_at & captions, "the videos of the round before are not asked for again"
