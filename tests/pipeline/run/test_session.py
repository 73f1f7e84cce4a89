"""What a run refuses before it writes anything."""

from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.config import RunConfig
from pipeline.run.session import open_run


@pytest.mark.parametrize("out", ["videos", "link", "videos/../videos/"])
def test_the_folder_of_videos_is_no_output_directory(tmp_path: Path, out: str) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (tmp_path / "link").symlink_to(videos)
    tree = {"out": f"{tmp_path}/{out}", "folder": {"path": str(videos)}, "crawl": {"sources": ["folder"]}}

    refused = pytest.raises(UserError, match=r"is the folder of videos itself \(folder.path\); choose another, such as")
    with refused, open_run(RunConfig.model_validate(tree)):
        pass
    assert list(videos.iterdir()) == []
