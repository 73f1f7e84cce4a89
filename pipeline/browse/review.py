"""A blind review: clips drawn by a seed, evenly over categories, each judged once, and the counts signed.

Its draw and verdicts are lines of a file of the person's own, so that it goes on where it stopped. Signing writes
counts alone into the data set, for the report and the card.
"""

from __future__ import annotations

import getpass
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.errors import UserError
from manifests.review import REVIEW_NAME, VERDICTS, Review, Reviewed
from manifests.shards import MANIFEST_NAME
from pipeline.browse.marks import append_line
from pipeline.engine.store.store import Store
from pipeline.shards.manifest import rewrite_card

if TYPE_CHECKING:
    from pipeline.browse.rows import Rows

MOST_DRAWN = 10_000


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is reviewed: `clips` are (id, category), in the order in which they are shown."""

    path: Path
    asked: str
    seed: int
    clips: tuple[tuple[str, str], ...]

    @classmethod
    def begun(cls, path: Path, rows: Rows, line: str, seed: int, n: int) -> Drawn:
        """Draws, or goes on with the draw in a file. UserError if that is of another, or there is nothing to draw."""
        if path.exists():
            return cls._read(path, str(rows.read(line)), seed)
        asked = rows.read(line)
        clips = tuple(rows.drawn(asked, min(n, MOST_DRAWN), seed))
        if not clips:
            raise UserError(f"review: there is no clip of {line!r} to draw")
        append_line(path, {"asked": str(asked), "seed": seed, "drawn": clips})
        return cls(path, str(asked), seed, clips)

    @classmethod
    def _read(cls, path: Path, asked: str, seed: int) -> Drawn:
        try:
            head = json.loads(path.read_text(encoding="utf-8").partition("\n")[0])
            drawn = cls(path, head["asked"], head["seed"], tuple((str(a), str(b)) for a, b in head["drawn"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: cannot be read as a review ({str(error)[:100]}); move it away") from None
        if (drawn.asked, drawn.seed) != (asked, seed):
            raise UserError(f"{path}: is a review of {drawn.asked!r} by seed {drawn.seed}; move it away for another")
        return drawn

    def verdicts(self) -> dict[str, tuple[str, str]]:
        """By clip id: (verdict, by whom), of the last that was said."""
        lines = self.path.read_text(encoding="utf-8").splitlines()[1:]
        return {said["clip_id"]: (said["verdict"], said["by"]) for said in map(json.loads, lines)}

    def judge(self, clip_id: str, verdict: str) -> None:
        """Notes a verdict. UserError if the clip was not drawn, or there is no such verdict."""
        if verdict not in VERDICTS or clip_id not in dict(self.clips):
            raise UserError("this clip was not drawn, or this is no verdict")
        at = datetime.now(UTC).replace(microsecond=0).isoformat()
        append_line(self.path, {"clip_id": clip_id, "verdict": verdict, "by": getpass.getuser(), "at": at})

    def next_one(self) -> int:
        """The place of the first that has no verdict; how many there are, if all have."""
        known = self.verdicts()
        return next((k for k, (clip_id, _) in enumerate(self.clips) if clip_id not in known), len(self.clips))

    def result(self, store: Store) -> Review:
        """The counts so far."""
        known, categories = self.verdicts(), sorted({category for _, category in self.clips})
        head = store.read_json(MANIFEST_NAME) if store.exists(MANIFEST_NAME) else {}
        return Review(
            asked=self.asked,
            seed=self.seed,
            n_drawn=len(self.clips),
            manifest_created_at=str(head.get("created_at", "")),
            by=sorted({by for _, by in known.values()}),
            at=datetime.now(UTC).replace(microsecond=0).isoformat(),
            categories=[self._of_category(category, known) for category in categories],
        )

    def _of_category(self, category: str, known: dict[str, tuple[str, str]]) -> Reviewed:
        said = [known[clip_id][0] for clip_id, of in self.clips if of == category and clip_id in known]
        return Reviewed(category=category, verdicts={verdict: said.count(verdict) for verdict in VERDICTS})

    def sign(self, store: Store) -> None:
        """Writes the counts into the data set, and into its card."""
        store.write_json(REVIEW_NAME, self.result(store).model_dump(mode="json"))
        if store.exists(MANIFEST_NAME):
            rewrite_card(store)
