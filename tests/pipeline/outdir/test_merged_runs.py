"""A run that merges its tables all the time ends with the bytes of one that never does, and can be done again."""

import hashlib
from pathlib import Path

import pytest

from hdvila_testing.video import a_video
from manifests.exits import ExitCode
from pipeline.dataset.verify import verify
from pipeline.engine.run import merger
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts, unit_gaps
from pipeline.run import session
from tests.pipeline.outdir.test_accounts import CAPTIONS, RUN, SIZES, run

pytestmark = pytest.mark.slow

NEVER, ALWAYS = MergeSizes(n_units=0), MergeSizes(n_units=1, fan_in=2, grace_s=0)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "films"
    folder.mkdir()
    for name, size in {**SIZES, "other": SIZES["good"]}.items():
        a_video(folder / f"{name}.mp4", seconds=4, width=size[0], height=size[1])
        (folder / f"{name}.en.vtt").write_text(CAPTIONS.replace("brown", name))
    return folder


def finished(films: Path, name: str) -> Store:
    base = films.parent / name
    base.mkdir()
    (base / "run.yaml").write_text(f"out: {base / 'out'}\nfolder: {{path: {films}}}\n{RUN}")
    done = run(base)
    assert done.exit_code == ExitCode.OK, done.output
    return Store(str(base / "out"))


def bytes_of(store: Store) -> dict[str, str]:
    root = Path(store.root)
    files = [*root.glob("shards/*/*"), root / "selection.parquet", root / "manifest.parquet"]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_merges_change_no_byte_of_what_is_delivered(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merger, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(session, "MERGES", NEVER)
    plain = finished(films, "plain")
    monkeypatch.setattr(session, "MERGES", ALWAYS)
    merged = finished(films, "merging")

    assert bytes_of(merged) == bytes_of(plain)
    assert read_head(merged)[0].segments and not merged.names("videos") and not read_head(plain)[0].segments
    assert check_accounts(merged).is_whole and list(verify(merged)) == []

    again = run(films.parent / "merging", "--redo", "transcripts")
    assert again.exit_code == ExitCode.OK, again.output
    assert bytes_of(merged) == bytes_of(plain) and check_accounts(Store(merged.url)).is_whole

    segment = next(one for one in read_head(merged)[0].segments if one.rows.get("clips"))
    merged.delete(segment.path("clips"))
    (gap,) = unit_gaps(Store(merged.url))
    assert gap.what == f"{segment.path('clips')} ({segment.rows['clips']} rows)"
