"""A crawl with a recogniser: what is said is heard before media is fetched, and read where there are no captions."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from miniyoutube.catalogue import Catalogue
from miniyoutube.media_cache import MediaCache, Rendition
from miniyoutube.server import MiniYouTube
from pipeline.run.road import run_pipeline
from tests.e2e.small_run import small_config
from tests.miniyoutube.catalogues import one_of_each
from tests.pipeline.media.recogniser_model import model_folder

RATE = 16_000


class Speaking(MediaCache):
    """Media in whose every video the same recording is heard, as often as it fits."""

    def __init__(self, film: Path, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        with av.open(str(film)) as source:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
            parts = [part.to_ndarray()[0] for frame in source.decode(audio=0) for part in resampler.resample(frame)]
        self._said = np.concatenate(parts)

    def is_drawn(self, rendition: Rendition) -> bool:
        """Whether the file is there already."""
        return rendition.kind == "audio" or super().is_drawn(rendition)

    def path(self, rendition: Rendition) -> Path:
        """Returns the file of a rendition."""
        if rendition.kind != "audio":
            return super().path(rendition)
        path = self._folder / f"{rendition.script.seed}-{rendition.script.duration_ms}.m4a"
        if not path.exists():
            self._write(path, rendition.script.duration_ms * RATE // 1000)
        return path

    def _write(self, path: Path, n_samples: int) -> None:
        with av.open(str(path), "w", format="mp4", options={"movflags": "dash+global_sidx"}) as container:
            stream = container.add_stream("aac", rate=RATE, layout="mono")
            for first in range(0, n_samples, 1024):
                samples = np.take(self._said, np.arange(first, first + 1024), mode="wrap")[None]
                frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
                frame.sample_rate, frame.pts = RATE, first
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


def documents_of(out: Path) -> list[dict[str, Any]]:
    """KEY.json of every sample."""
    found = []
    for shard in sorted(out.glob("shards/*/*.tar")):
        with tarfile.open(shard) as tar:
            found += [json.loads(tar.extractfile(name).read()) for name in tar.getnames() if name.endswith(".json")]  # type: ignore[union-attr]
    return found


@pytest.mark.long
def test_a_video_of_the_site_is_heard_and_read_where_it_has_no_captions(samples: Path, tmp_path: Path) -> None:
    model, film = model_folder(), samples / "videos" / "torchcodec__nasa_13013.mp4"
    first, unknown, silent = one_of_each(("no_captions", "no_captions")).videos
    silent = replace(silent, dubs=("en", "de"))  # so that the site names the language of its sound
    with MiniYouTube(Catalogue((first, unknown, silent)), cache=Speaking(film, tmp_path)) as site:
        heard = (
            f"media.heard.model={model}",
            "text.transcript.recognise=missing",
            "media.duplicates.action='off'",
            "engine.executor=local",
        )
        run_pipeline(small_config(site, tmp_path / "out", *heard, "crawl.categories=[27]", "balance.total=null"))
        asked = {video.video_id: site.log.of("media", video_id=video.video_id) for video in site.catalogue.videos}
        n_looks = site.log.per_video()
    assert not asked.pop(unknown.video_id), "what this model may not know is not fetched"
    assert asked[silent.video_id][0].itag == "140", "the sound comes first"
    assert all(n_looks[video_id]["watch"] == 1 for video_id in asked)
    documents = documents_of(tmp_path / "out")
    read = [document for document in documents if document["video_id"] == silent.video_id]
    assert not any(document["heard_by"] for document in documents if document not in read)
    assert read and all(d["caption_kind"] == "recognised" and d["heard_by"] for d in read)
    assert "space telescope" in read[0]["text"].lower()
