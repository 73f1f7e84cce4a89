"""The manifest that a run reads: at its first step, that at `data.manifest`; from then on the same one, by its hash.

A data set that is still being made keeps every manifest that it has published, under its hash, so a run finds its own
again. To train on a larger data set, start a new run with `model.model_weights` from an export of this one.
"""

from pathlib import Path

from manifests.errors import UserError
from manifests.shards import Manifest, read_manifest, read_published
from train.config import TrainConfig
from train.data.folder import open_folder
from train.distributed import Process, agree, text_from_first


def pinned_manifest(config: TrainConfig, process: Process, wanted: str = "", pinned_by: str = "") -> Manifest:
    """The manifest with this hash, or for "" the manifest that the first rank reads at data.manifest, on every rank.

    UserError if it no longer exists; the message names `pinned_by`, what the manifest is needed for.
    """
    problem, manifest = "", None
    if process.is_first:
        try:
            manifest = _manifest(config, wanted, pinned_by)
        except UserError as error:
            problem = str(error)
    agree(problem)
    sha256 = text_from_first(manifest.sha256 if manifest else "")
    return manifest or _manifest(config, sha256, pinned_by)


def _manifest(config: TrainConfig, wanted: str, pinned_by: str) -> Manifest:
    data = config.data
    if data.videos:
        there = open_folder(Path(data.videos)).manifest
        if wanted in ("", there.sha256):
            return there
        raise UserError(f"{data.videos}: its videos have changed; {pinned_by} other files, or files of other sizes")
    newest = read_manifest(data.manifest, **data.storage_options)
    if wanted in ("", newest.sha256):
        return newest
    try:
        return read_published(newest.root, wanted, **data.storage_options)
    except UserError as error:
        raise UserError(
            f"{data.manifest}: is not the manifest that {pinned_by} (sha256 {newest.sha256[:12]}, was {wanted[:12]}), "
            f"and that one is not kept beside it ({error}); point data.manifest at it, or start a new run "
            "(--set out=...) with model.model_weights from an export of this one"
        ) from None
