"""The commits of an output directory: which units are done, and which files each of them wrote.

    commits/<stage>/group.<number>.<hash>.json    units that ended within about a second: {"units": {unit: facts}}

A group never changes. To remove a unit, a group without it is written and the old group deleted; if a kill leaves both,
the group with the higher number decides for each unit that it holds. A unit's facts name the files it wrote
(`parts`), under names that no other attempt uses: a worker that was given up and ends late overwrites nothing.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.parallel import side_by_side
from manifests.rows import ManifestRow

FOLDER = "commits"


class Facts(TypedDict, total=False):
    """What a commit holds about a unit; a stage may add keys of its own."""

    rows: dict[str, int]  # by table
    rejects: dict[str, int]  # by reason
    parts: dict[str, str]  # by table: the file that holds its rows
    attempt: int
    seconds: float
    bytes: int  # total size of its files
    held: str  # of a fetch: the folder with what it fetched; never in a commit
    shard: ManifestRow  # of stage `shards`: its entry in the manifest
    ids: str  # by what its rows are found: `lookup.ids_of_unit`
    segment: str  # if merged: the segment's id; set when it is read


def part_name(stage: str, unit: str, token: str = "") -> str:
    """The file name of a part. `token` is unique to the attempt; "" where there can be no second."""
    return f"part-{stage}-{unit}-{token}.parquet" if token else f"part-{stage}-{unit}.parquet"


@dataclass(slots=True)
class Commits:
    """The commits that are objects of their own. Groups never change, so what was read of a group is kept until
    segments cover it.
    """

    files: Files
    floor: dict[str, int] = field(default_factory=dict)
    """By stage: groups up to this number are never read again (`Head.covered`), so new groups get higher ones."""
    n_written: int = 0
    """Groups written by this process."""
    _groups: dict[str, dict[str, Facts]] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)
    """By stage: the highest number seen or assigned."""

    def stages(self) -> list[str]:
        """The stages that have commits, also those known here that a bucket does not list yet."""
        return sorted({*self.files.folders(FOLDER), *(path.split("/")[1] for path in list(self._groups))})

    def of(self, stage: str, after: int = 0, *, but: range = range(0)) -> dict[str, str]:
        """{unit: path of the object that holds its commit}, of groups numbered above `after` and not in `but`.

        Groups up to `after` are covered, so their contents are dropped; a run would otherwise keep an hour of them.
        """
        for _ in range(3):
            try:
                return self._of(stage, after, but)
            except FileNotFoundError:  # a group was replaced after it was listed
                continue
        return self._of(stage, after, but)

    def _of(self, stage: str, after: int, but: range) -> dict[str, str]:
        for path in self._kept(stage):
            if number_of(path) <= after:
                self._groups.pop(path, None)
        groups = [path for path in self.paths(stage) if number_of(path) > after and number_of(path) not in but]
        self._read(groups)
        path_of: dict[str, str] = {}
        for path in groups:  # in the order of their numbers: a later group takes precedence
            path_of.update(dict.fromkeys(self._groups[path], path))
        return path_of

    def paths(self, stage: str) -> list[str]:
        """Paths of the groups that a stage has now; drops others from the cache and updates the highest number.

        A bucket may list what was there a moment ago: what is known and not listed is asked for.
        """
        paths = [f"{FOLDER}/{stage}/{name}" for name in self.files.names(f"{FOLDER}/{stage}") if is_group(name)]
        self._last[stage] = max([self._last.get(stage, 0), *map(number_of, paths)])
        missed = set(self._kept(stage)).difference(paths)
        for path in missed:
            if number_of(path) > self.floor.get(stage, 0) and self.files.exists(path):
                paths.append(path)
            else:
                self._groups.pop(path, None)
        return sorted(paths)

    def _kept(self, stage: str) -> list[str]:
        return [path for path in self._groups if path.startswith(f"{FOLDER}/{stage}/")]

    def _read(self, paths: list[str]) -> None:
        new = [path for path in paths if path not in self._groups]
        self._groups.update(zip(new, side_by_side(self._units_in, new), strict=True))

    def _units_in(self, path: str) -> dict[str, Facts]:
        data = self.files.read(path)
        cure = "restore it, or delete it: the next run then does its units again"
        if is_group(path.rpartition("/")[2]) and hash_of_group(data) != path.split(".")[-2]:
            raise DamagedFile(f"{self.files.url}/{path}: its hash is not the one in its name; {cure}")
        try:
            units: dict[str, Facts] = json.loads(data)["units"]
            if all(isinstance(facts, dict) for facts in units.values()):
                return units
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise DamagedFile(f"{self.files.url}/{path}: holds no commits of units; {cure}")

    def facts(self, path: str, unit: str) -> Facts:
        """What a unit's commit holds; `path` is the object that `of` returned. FileNotFoundError if it is gone."""
        if path not in self._groups:
            self._groups[path] = self._units_in(path)
        return self._groups[path][unit]

    def is_there(self, path: str) -> bool:
        """Whether an object of commits is still there, with the commits that it had; it is read for `facts`."""
        try:
            self._read([path])
        except FileNotFoundError:
            return False
        return True

    def parts(self, where: Mapping[str, str], table: str) -> Iterator[tuple[str, str]]:
        """(unit, path) of the part that each unit wrote of a table."""
        for unit, path in where.items():
            named = self.facts(path, unit).get("parts", {})
            if table in named:
                yield unit, named[table]

    def write(self, stage: str, units: Mapping[str, Facts]) -> str:
        """Commits units, all in one object; returns its path."""
        data = json.dumps({"units": units}, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        number = self._next_number(stage)
        path = f"{FOLDER}/{stage}/group.{number:010d}.{hash_of_group(data)}.json"
        self.files.write(path, data)
        self._groups[path] = dict(units)
        self.n_written += 1
        return path

    def seen(self) -> dict[str, tuple[int, dict[str, str]]]:
        """By stage, without a request: the highest number of a group that was seen or written, and of all groups up to
        it that are not covered {unit: path of its object}.
        """
        found: dict[str, tuple[int, dict[str, str]]] = {stage: (number, {}) for stage, number in self._last.items()}
        for path in sorted(self._groups):  # in the order of their numbers: a later group takes precedence
            stage = path.split("/")[1]
            if number_of(path) > self.floor.get(stage, 0):
                found[stage][1].update(dict.fromkeys(self._groups[path], path))
        return found

    def let_go(self, covered: Mapping[str, int]) -> None:
        """Drops what is cached of groups that segments cover, by stage up to a number: nobody asks for it any more."""
        self.floor.update(covered)
        for path in [path for path in self._groups if number_of(path) <= covered.get(path.split("/")[1], 0)]:
            del self._groups[path]

    def last_number(self, stage: str) -> int:
        """The highest number among the existing groups; 0 if there are none."""
        return max((number_of(name) for name in self.files.names(f"{FOLDER}/{stage}") if is_group(name)), default=0)

    def _next_number(self, stage: str) -> int:
        if stage not in self._last:
            self._last[stage] = self.last_number(stage)
        self._last[stage] = 1 + max(self.floor.get(stage, 0), self._last[stage])
        return self._last[stage]

    def remove(self, stage: str, units: Collection[str], *, but: str = "") -> None:
        """Takes back units' commits, in every object except `but`."""
        groups = self.paths(stage)
        self._read(groups)
        for path in groups:
            held = self._groups[path]
            if path == but or not held.keys() & set(units):
                continue
            later = {unit for newer in groups if newer > path for unit in self._groups.get(newer, ())}
            rest = {unit: facts for unit, facts in held.items() if unit not in units and unit not in later}
            if rest:
                self.write(stage, rest)
            self.files.delete(path)
            self._groups.pop(path, None)


def hash_of_group(data: bytes) -> str:
    """The hash in the name of a group with these bytes."""
    return hashlib.sha256(data).hexdigest()[:12]


def is_group(name: str) -> bool:
    """Whether a file name is a group's; unit names contain no dot."""
    return name.startswith("group.") and name.count(".") == 3


def number_of(path: str) -> int:
    """The number of the group at a path."""
    return int(path.rpartition("/")[2].split(".")[1])
