"""Exports: what a new run makes of the released files, and clips for readers that know no offset."""

import io
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from hdvila_testing import shards
from hdvila_testing.shards import N_BEFORE, N_FRAMES, NO_CARD, a_data_set, tiny_film
from hdvila_testing.video import a_video
from manifests.errors import UserError
from manifests.shards import member_offsets
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.config.sources import ListsConfig
from pipeline.crawl.sources.lists import list_part
from pipeline.dataset.export import CLIPS_NAME, TEXTS_NAME, export_clips, export_hdvila
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.shards.closed import read_entries
from pipeline.shards.files import read_rows

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0.3), card=NO_CARD)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return a_data_set(tmp_path_factory.mktemp("data"), n_videos=5, n_clips=2, prefix="video", config=CONFIG)


def samples(store: Store) -> dict[str, tuple[dict, dict[str, bytes]]]:
    """By key: the shard's row and the members."""
    found = {}
    for entry in read_entries(store):
        for row in read_rows(store, entry.url).to_pylist():
            if row["status"] == "success":
                places = member_offsets(row["members"])
                members = {e: store.read_range(entry.url, at, at + size) for e, (at, size) in places.items()}
                found[row["key"]] = (row, members)
    return found


def pictures(mp4: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(mp4)) as film:
        return [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]


def test_the_source_of_a_new_run_reads_the_same_clips(made: Store, tmp_path: Path) -> None:
    out = Store(str(tmp_path))
    done = export_hdvila(made, out)

    expected = {row["clip_id"]: (row["start_ms"], row["end_ms"]) for row, _ in samples(made).values()}
    found = {}
    for listed in list_part(str(tmp_path / CLIPS_NAME), ListsConfig(), 0)[0]:
        for span in json.loads(listed.given_spans):
            found[f"{listed.video_id}.{span['n']}"] = (span["start_ms"], span["end_ms"])
    assert found == expected and done.n_clips == len(expected)
    texts = [json.loads(line) for line in (tmp_path / TEXTS_NAME).read_text().splitlines()]
    assert {t["clip_id"].removesuffix(".mp4"): t["text"] for t in texts} == {
        row["clip_id"]: row["caption"] for row, _ in samples(made).values()
    }


def test_an_export_does_not_overwrite_another(made: Store, tmp_path: Path) -> None:
    export_hdvila(made, Store(str(tmp_path)))
    with pytest.raises(UserError, match="exists already"):
        export_hdvila(made, Store(str(tmp_path)))


def test_exact_clips_begin_at_frame_0_and_hold_the_sentences_frames_alone(made: Store, tmp_path: Path) -> None:
    out = Store(str(tmp_path / "exact"))
    export_clips(made, out)

    before, after = samples(made), samples(out)
    assert list(after) == list(before)
    for key, (_, members) in after.items():
        facts = json.loads(members["json"])
        assert (facts["first_frame"], facts["offset_ms"], facts["cut_mode"]) == (0, 0, "exact")
        frames, whole = pictures(members["mp4"]), pictures(before[key][1]["mp4"])
        assert len(frames) == facts["n_frames"] == N_FRAMES and len(whole) == N_BEFORE + N_FRAMES
        for new, old in zip(frames, whole[N_BEFORE:], strict=True):
            assert np.abs(new.astype(int) - old).mean() < 12
        assert {e: members[e] for e in ("txt", "m4v", "mjpg")} == {e: before[key][1][e] for e in ("txt", "m4v", "mjpg")}
    assert list(verify(out, decode=-1)) == []
    assert "exactly its sentence" in out.read("dataset_card.md").decode()


def test_an_exact_clip_with_sound_says_where_its_pictures_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first packet of sound begins up to 21 ms before its first frame."""

    def heard(n_frames: int) -> bytes:
        film = tmp_path / f"{n_frames}.mp4"
        seconds = n_frames / shards.FPS
        a_video(film, seconds=seconds, fps=Fraction(shards.FPS), width=320, height=180, b_frames=0)
        return film.read_bytes()

    monkeypatch.setattr(shards, "tiny_film", heard)
    made = a_data_set(tmp_path / "made", n_videos=1, n_clips=1, members=("mp4", "txt", "json"), config=CONFIG)
    out = Store(str(tmp_path / "exact"))
    export_clips(made, out)

    (members,) = (members for _, members in samples(out).values())
    facts = json.loads(members["json"])
    with av.open(io.BytesIO(members["mp4"])) as film:
        first = next(film.decode(video=0))
    assert facts["has_audio"] and facts["offset_ms"] == 21 and abs(1000 * first.time - 21) < 1


def test_frames_after_a_clip_are_not_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An mp4 may go on after its clip, with frames that others refer to; at 29 a second one begins between two ms."""
    monkeypatch.setattr(shards, "FPS", 29)
    monkeypatch.setattr(shards, "tiny_film", lambda n: tiny_film(n + 2 if n > N_FRAMES else n))
    made, out = a_data_set(tmp_path / "made", n_videos=2, n_clips=1, config=CONFIG), Store(str(tmp_path / "exact"))
    export_clips(made, out)
    for key, (_, members) in samples(out).items():
        assert len(pictures(samples(made)[key][1]["mp4"])) == N_BEFORE + N_FRAMES + 2
        assert len(pictures(members["mp4"])) == N_FRAMES


def test_the_command_says_what_it_wrote(made: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", made.url, "--out", str(tmp_path / "release")])

    assert done.exit_code == 0 and "clips of 5 videos" in done.output
