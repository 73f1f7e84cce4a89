"""Which manifest each epoch of a run reads: the manifest that the run began with, or (with `data.grow`) a descendant of
it.

    RUN/epochs.json    for a growing run: its epochs, each with its first step and the sha256 of its manifest

A data set that is still being made keeps every manifest that it has published, under its hash, so a run can always find
that to which it is pinned. A growing run looks at manifest.json at the first step that begins in a new epoch, and
records its choice before it reads on: if it is killed and resumed, it chooses the same. The last batch of an epoch may
have read some positions of the next; if that epoch reads another manifest, those positions are read again from it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from manifests.errors import UserError
from manifests.shards import Manifest, lineage, read_manifest, read_published
from train.config import TrainConfig
from train.data.folder import open_folder
from train.data.loader import Loaded
from train.distributed import Process, agree, text_from_first
from train.feed.batches import Batches, open_data
from train.loop.bucket import Home
from train.loop.checkpoint import Facts
from train.rows import Rows
from train.whole_file import whole_file

EPOCHS = "epochs.json"


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch (from 0), the first step that begins in it (from 0), and the manifest that it reads."""

    epoch: int
    first_step: int
    manifest_sha256: str


def epochs_of(facts: Facts) -> list[Epoch]:
    """The epochs recorded in a checkpoint. UserError if they are not valid."""
    try:
        epochs = [Epoch(**entry) for entry in facts.epochs]
    except TypeError as error:
        raise UserError(f"the checkpoint of step {facts.step} names no epochs ({error}); take one before it") from None
    return epochs or [Epoch(0, 0, facts.manifest_sha256)]


class EpochFeed:
    """The batches of a run, epoch by epoch."""

    def __init__(
        self, config: TrainConfig, home: Home, process: Process, epochs: Sequence[Epoch] = (), pinned_by: str = ""
    ) -> None:
        """Opens the last of the epochs recorded in a checkpoint; at the start of a run, the current manifest.json.

        UserError if that manifest no longer exists; the message names `pinned_by`, what the manifest is needed for.
        """
        self._config, self._run, self._process = config, home.here, process
        self._keep = home.keep
        wanted = epochs[-1].manifest_sha256 if epochs else ""
        manifest = _same_on_all_ranks(config, process, wanted, pinned_by)
        self.epochs = list(epochs) or [Epoch(0, 0, manifest.sha256)]
        first = next(epoch for epoch in self.epochs if epoch.manifest_sha256 == manifest.sha256)
        self._open(manifest, first)
        self._batches: Batches | None = None
        if config.data.grow and not epochs and process.is_first:
            self._write_down()  # overwrites what an earlier run without a checkpoint left there

    def _open(self, manifest: Manifest, first: Epoch) -> None:
        self.data = open_data(
            self._config, self._run, self._process, manifest, first_step=first.first_step, first_epoch=first.epoch
        )

    @property
    def counts(self) -> dict[str, int]:
        """What the objectives counted in this rank's rows of the last step."""
        return self._batches.counts if self._batches else {}

    @property
    def n_lost(self) -> int:
        """Number of samples replaced so far."""
        return self._batches.n_lost if self._batches else 0

    def epochs_done(self, step: int) -> float:
        """Epochs completed before a step, with the fraction of the current."""
        return self.data.stream.epochs_done(step)

    def steps(self, first: int, stop: int) -> Iterator[tuple[int, Rows, Loaded]]:
        """Yields `(step, batch, loaded samples)` for steps first … stop-1."""
        step = first
        while step < stop:
            until = stop
            if self._config.data.grow:
                self._enter_epoch(step)
                until = min(stop, self.data.stream.next_epoch_step(step))
            if self._batches is None:
                self._batches = Batches(self.data, self._config, self._run, self._process)
            yield from self._batches.steps(step, until)
            step = until

    def _enter_epoch(self, step: int) -> None:
        """If the step is the first of an epoch, chooses what the epoch reads and records it."""
        number, _ = self.data.stream.locate(step * self.data.stream.batch)
        if number == self.epochs[-1].epoch:
            return
        sha256 = self._choice(step)
        epoch = Epoch(number, step, sha256)
        if sha256 != self.data.manifest.sha256:
            before, n_lost = len(self.data.train), self.n_lost
            self._open(_same_on_all_ranks(self._config, self._process, sha256, f"epoch {number} reads"), epoch)
            self._batches = Batches(self.data, self._config, self._run, self._process, n_lost=n_lost)
            self._say(f"epoch {number}: manifest {sha256[:12]}, {len(self.data.train)} clips (were {before})")
        self.epochs.append(epoch)
        if self._process.is_first and _read_epochs(self._run / EPOCHS)[: len(self.epochs)] != self.epochs:
            self._write_down()

    def _choice(self, step: int) -> str:
        """The sha256 of the manifest to read in the epoch that begins at this step; the same on every rank."""
        sha256 = problem = ""
        if self._process.is_first:
            try:
                sha256 = self._recorded(step) or self._newest()
            except UserError as error:
                problem = str(error)
        agree(problem)
        return text_from_first(sha256)

    def _newest(self) -> str:
        """The sha256 of manifest.json if it descends from the manifest in use, else of that in use."""
        data, used = self._config.data, self.data.manifest.sha256
        try:
            newest = read_manifest(data.manifest, **data.storage_options)
            if newest.sha256 == used or used in lineage(newest, **data.storage_options):
                return newest.sha256
            self._say(f"{data.manifest}: does not descend from manifest {used[:12]}, which the run stays on")
        except UserError as error:
            self._say(f"the run stays on manifest {used[:12]}: {error}")
        return used

    def _recorded(self, step: int) -> str:
        """The manifest that this run chose at this step before it was killed; "" if it never got here."""
        recorded = _read_epochs(self._run / EPOCHS)
        known = len(self.epochs)
        same = recorded[:known] == self.epochs and len(recorded) > known and recorded[known].first_step == step
        return recorded[known].manifest_sha256 if same else ""

    def _write_down(self) -> None:
        with whole_file(self._run / EPOCHS) as part:
            part.write_text(json.dumps([asdict(epoch) for epoch in self.epochs], indent=1) + "\n")
        self._keep()

    def _say(self, text: str) -> None:
        if self._process.is_first:
            print(text, flush=True)


def _read_epochs(path: Path) -> list[Epoch]:
    try:
        return [Epoch(**entry) for entry in json.loads(path.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); without it, later epochs may read more") from None


def _same_on_all_ranks(config: TrainConfig, process: Process, wanted: str, pinned_by: str) -> Manifest:
    """The manifest with this hash, or for "" the manifest that the first rank reads at data.manifest, on every rank."""
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
