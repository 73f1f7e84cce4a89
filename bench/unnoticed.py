"""Changes that `bench.mutate` can make and no user could notice, each with its reason."""

import re

ALIKE = (
    (re.compile(r"uuid4\(\)\.hex\[:(\d+)\]"), "the length of a random name; any is long enough"),
    (re.compile(r"\.reshape\([^-)]*-(1)[,)]"), "NumPy takes any number below 0 for the side that is left"),
)
"""(pattern of a line, whose group is the number that is changed; why no user could notice that, wherever it occurs)."""

_STREAM = "yield from shards.shuffle(buffer, initial=buffer // 2 + 1, seed=seed)"
_SEVERITY = "return 3 if seen.status == 429 else 2 if seen.status >= 400 else 1 if not seen.status else 0"
_FAULT = "yield DecodeFault(time_ms(packet.pts or 0), str(error)[:120])"
_STEP = "float(np.diff(share).max()) >= _LARGEST_STEP / step"
_MIXTURE = "if float(off.mean()) > _MIXED or float(np.abs(share - even).max()) > _UNEVEN:"
_MEASURED = (
    ("if float(np.abs(one - other).mean()) < _SAME:", "float(np.abs(one - other).mean()) <= _SAME"),
    ("for i in np.flatnonzero(change > _LEAST_CHANGE).tolist():", "change >= _LEAST_CHANGE"),
    (
        "if change[i] < _OUTSTANDING * float(np.median(around)):",
        "change[i] <= _OUTSTANDING * float(np.median(around))",
    ),
    (
        "if change[i] < _OF_SPREAD * float(pictures[i - 1 : i + 1].std(axis=(1, 2)).max()):",
        "change[i] <= _OF_SPREAD * float(pictures[i - 1:i + 1].std(axis=(1, 2)).max())",
    ),
    (
        "if change[i] < _ALONE * change[beside] and not _is_one_mixed_frame(pictures, min(i, beside)):",
        "change[i] <= _ALONE * change[beside]",
    ),
    (
        "if _is_another_shot(pictures, min(i, beside) if change[i] < _ALONE * change[beside] else i, step):",
        "change[i] <= _ALONE * change[beside]",
    ),
    ("for i in np.flatnonzero(change > _FAST_CHANGE).tolist():", "change >= _FAST_CHANGE"),
    (
        "if contrast[0] < _OF_CONTRAST * contrast[1] or likeness(pictures[i - 1], pictures[i]) > _UNLIKE:",
        "contrast[0] <= _OF_CONTRAST * contrast[1]",
    ),
    (
        "if contrast[0] < _OF_CONTRAST * contrast[1] or likeness(pictures[i - 1], pictures[i]) > _UNLIKE:",
        "likeness(pictures[i - 1], pictures[i]) >= _UNLIKE",
    ),
    (
        "if not any(min(likeness(a, b) for a, b in pairwise(side)) > _ALIKE for side in sides):",
        "min((likeness(a, b) for a, b in pairwise(side))) >= _ALIKE",
    ),
    ("return 0.1 < float(share[0]) < 0.9 and float(off[0]) < _ONE_MIXED", "float(off[0]) <= _ONE_MIXED"),
    (
        "return all(likeness(pictures[a], pictures[b], alike) < alike for a in before for b in after)",
        "likeness(pictures[a], pictures[b], alike) <= alike",
    ),
    ("black = (mean < _BLACK_MEAN) & (spread < _BLACK_SPREAD)", "mean <= _BLACK_MEAN"),
    ("black = (mean < _BLACK_MEAN) & (spread < _BLACK_SPREAD)", "spread <= _BLACK_SPREAD"),
    ("for c in np.flatnonzero(drift > _LEAST_DRIFT).tolist():", "drift >= _LEAST_DRIFT"),
    ("elif drift[c] > found[-1][1]:  # the same dissolve, with ends that are less mixed", "drift[c] >= found[-1][1]"),
    ("inside = np.flatnonzero((share > 0.12) & (share < 0.88))", "share >= 0.12"),
    ("inside = np.flatnonzero((share > 0.12) & (share < 0.88))", "share <= 0.88"),
    ("if inside.size < 4 * step or float(np.diff(share).max()) > _LARGEST_STEP / step:", _STEP),
    ("if float(np.diff(share[begin:end]).min()) < -0.08:", "float(np.diff(share[begin:end]).min()) <= -0.08"),
    (_MIXTURE, "float(off.mean()) >= _MIXED"),
    (_MIXTURE, "float(np.abs(share - even).max()) >= _UNEVEN"),
    (
        "differ = likeness(one, other) < _OTHER - float(off.mean())",
        "likeness(one, other) <= _OTHER - float(off.mean())",
    ),
    ("return (begin, end) if paler < _PALER and differ else None", "paler <= _PALER"),
)
"""Bounds of shots.py on what is measured of pictures (a mean, a correlation), which is never quite the bound."""
_LARGE = "if width >= 8 * WIDTH and height >= 8 * HEIGHT:"
_TAGS = 'ANY_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}'
_RANDOM = "random = chosen & (fate >= 0.8) & (fate < 0.9)"
_STILL = "if still.offset < 0 or still.size < 1 or still.offset + still.size > len(mjpg):"
_SIZES = "videos.bytes_ if by_bytes >= by_count else is_sample.astype(np.int64)"
_EDGES = f"edges = _edges({_SIZES}, max(by_bytes, by_count))"
_PAST_END = "if packet.pts is not None and packet.pts >= end:"
_SIZES_OF_STORE = (
    "is_wide: RowFile(self, path, sizes.get(path, 0))",
    "read = read_rows(self, path, part.first, part.n_rows, apart, self.segments.sizes.get(path, 0))",
    "return read_rows(self, path, part.first, part.n_rows, columns, self.segments.sizes.get(path, 0))",
)
_COUNT = (
    "return sum(part.n_rows if part.n_rows >= 0 else self.read_part(part, []).num_rows for part in self.parts(table))"
)
EXPLAINED = {
    **{
        (
            "pipeline/engine/store/store.py",
            line,
            "1",
        ): "a size that is not the file's is asked for, as one that is not known"
        for line in _SIZES_OF_STORE
    },
    **{
        ("pipeline/engine/store/store.py", _COUNT, new): "a segment names no part without rows"
        for new in ("part.n_rows > 0", "1")
    },
    (
        "pipeline/engine/store/store.py",
        'reason = (str(error).splitlines() or [""])[0][:300]',
        "600",
    ): "the length at which a message is cut",
    **{
        (
            "pipeline/site/politeness.py",
            line,
            "1.0",
        ): "a machine's clock shows more than a second by the time a run asks"
        for line in (
            'asked.dead, asked.probe_until = "", 0.0',
            "asked.probe_until = 0.0",
            "asked.paused_for, asked.probe_until = subject, 0.0",
        )
    },
    ("pipeline/site/politeness.py", "seed: int = 0,", "1"): "any seed spreads gaps and pauses as well",
    (
        "pipeline/site/politeness.py",
        "is_due = self._clock() - self._saved_at > SAVE_EVERY_S",
        "self._clock() - self._saved_at >= SAVE_EVERY_S",
    ): "two readings of a clock of nanoseconds are never quite that far apart",
    **{
        ("pipeline/site/optout.py", line, "2"): "two bytes more than the limit say that a list is longer as well as one"
        for line in ("data = answer.read(MAX_BYTES + 1)", "data = file.read(MAX_BYTES + 1)")
    },
    (
        "pipeline/site/ytdlp.py",
        "nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)",
        "2",
    ): "only the nearest is named, however many are looked for",
    (
        "pipeline/engine/run/stage_run.py",
        "n_upstream = upstream.n_made if upstream else 0",
        "1",
    ): "a stage with none before it is asked once, whatever the number",
    (
        "pipeline/engine/run/stage_run.py",
        'self._asked_at, self._n_upstream = float("-inf"), -1',
        "2",
    ): "any number below 0 is that of no stage",
    (
        "pipeline/engine/run/lock.py",
        "self._renewer.join(timeout=self._renew_s + 5)",
        "6",
    ): "a tuning constant: how long a renewal that hangs is waited for at the end",
    (
        "pipeline/engine/run/driver.py",
        'self._n_slots, self._slots_read = 1, float("-inf")',
        "2",
    ): "slots are counted before they are used",
    (
        "pipeline/engine/store/ids.py",
        "n_ranges = -(-n_entries // AT_A_TIME) or 1",
        "2",
    ): "where there are no entries there are none in two ranges",
    (
        "pipeline/engine/store/ranges.py",
        "if n_bytes >= max_bytes:",
        "n_bytes > max_bytes",
    ): "pieces are of about so many bytes",
    ("pipeline/engine/store/ranges.py", "if len(missing) < 2:", "len(missing) <= 2"): "how much is read at a time",
    ("pipeline/engine/store/ranges.py", "if len(missing) < 2:", "3"): "how much is read at a time",
    ("pipeline/engine/store/segments.py", "for _ in range(10):", "20"): "how often a change of the head is tried",
    (
        "pipeline/engine/store/segment_files.py",
        "rejects={}, seconds=0.0, made_at=time.time(),",
        "1.0",
    ): "what its commits said in all stands there before it is returned",
    **{
        (
            "pipeline/engine/store/segment_files.py",
            "if n_rows >= GROUP_ROWS or n_bytes >= GROUP_BYTES or len(held) >= 1000:",
            new,
        ): "how much is held at a time, about"
        for new in ("n_bytes > GROUP_BYTES", "len(held) > 1000", "2000")
    },
    **{
        ("pipeline/engine/store/store.py", line, new): "a segment names no part without rows"
        for line in (
            "if part.n_rows < 0:",
            "is_covered = part.n_rows < 0 and found.num_rows and self._segments_with(head, part.stage, [part.unit])",
        )
        for new in ("part.n_rows <= 0", "1")
    },
    (
        "pipeline/engine/store/committed.py",
        "self.commits.floor[stage] = head.covered.get(stage, 0)",
        "1",
    ): "numbers of commits begin at 2; only their order counts",
    ("pipeline/engine/run/progress.py", "BarColumn(bar_width=16),", "32"): "how wide a bar is on a terminal",
    ("pipeline/engine/on_ray/cluster.py", "waited: int = -1", "2"): "any number below 0 says that there was no fetch",
    (
        "pipeline/engine/on_ray/machines.py",
        "return self._fenced.get(node, 0.0) > time.monotonic()",
        "1.0",
    ): "a machine's clock shows more than a second by the time a driver runs",
    (
        "pipeline/engine/on_ray/machines.py",
        'int(MOST_MEMORY * node["Resources"].get("memory", 0))',
        "1",
    ): "most of one byte is none as well",
    (
        "pipeline/engine/on_ray/cluster.py",
        "max_concurrency=10_000,",
        "20000",
    ): "a tuning constant: calls that may wait in an actor at a time, more than a cluster makes",
    (
        "pipeline/engine/on_ray/ray_session.py",
        "CONNECT_S, SPEAK_S = 3.0, 4.0",
        "4.0",
    ): "a tuning constant: how long an address is tried before it is said that nobody answers there",
    ("pipeline/media/cutting/audio.py", _PAST_END, "packet.pts is None"): "reads on behind the clip, to no effect",
    ("pipeline/media/cutting/audio.py", _PAST_END, "packet.pts > end"): "reads one packet more, to no effect",
    (
        "pipeline/media/cutting/window.py",
        "_STEPS_BACK_S = (0, 2, 15, 60)",
        "120",
    ): "a tuning constant: how far the last seek goes back; a larger one reads more of the file",
    (
        "pipeline/media/probe.py",
        _TAGS,
        "int(av.__version__.partition('.')[0]) <= 19",
    ): "speaks of PyAV 19 alone, and the tests run with one version",
    (
        "pipeline/media/probe.py",
        "return str(error).splitlines()[0][:160] if str(error) else type(error).__name__",
        "320",
    ): "the length at which a message is cut",
    **{
        ("pipeline/media/shots.py", line, new): "a measure of pictures is never quite the bound"
        for line, new in _MEASURED
    },
    **{
        ("pipeline/media/shots.py", _LARGE, new): "from which size on fewer pixels are read: either way is as good"
        for new in (
            "width > 8 * WIDTH",
            "height > 8 * HEIGHT",
            "9",
            "(width >= 8 * WIDTH or height >= 8 * HEIGHT)",
        )
    },
    ("pipeline/media/shots.py", "self._decided = 0", "1"): "no transition has its middle at the first picture",
    ("pipeline/media/frames.py", _FAULT, "240"): "the length at which a message is cut",
    ("pipeline/site/failures.py", _SEVERITY, "4"): "the first of the order stays the first by any larger number",
    ("pipeline/site/failures.py", _SEVERITY, "1"): "a request that succeeded is no failure, wherever it is sorted",
    (
        "train/objectives/itm.py",
        "wanted = lot < NEGATIVE_SHARE",
        "lot <= NEGATIVE_SHARE",
    ): "a drawn number of 53 bits is never quite the share",
    (
        "pipeline/engine/store/commits.py",
        "self._last[stage] = 1 + max(self.floor.get(stage, 0), self._last[stage])",
        "1",
    ): "numbers of commits begin at 2; only their order counts",
    (
        "pipeline/engine/run/stage_run.py",
        "self._charges.pop(unit.name, None)",
        "pass",
    ): "the record of a unit that ended is kept until its stage is over, some hundred bytes",
    (
        "pipeline/engine/work/boundary.py",
        "if log.stat().st_mtime < time.time() - ROW_ENDS_AFTER_S:",
        "log.stat().st_mtime <= time.time() - ROW_ENDS_AFTER_S",
    ): "two readings of a clock of nanoseconds are never quite that far apart",
    (
        "pipeline/engine/work/attempt.py",
        "wait_s: float = 0.0",
        "1.0",
    ): "only what is tried again has a time to wait, and it always says which",
    (
        "pipeline/engine/store/outage.py",
        "if now - said > SAY_EVERY_S:",
        "now - said >= SAY_EVERY_S",
    ): "two readings of a clock of nanoseconds are never quite that far apart",
    (
        "pipeline/shards/card.py",
        "total = sum(counts.values()) or 1",
        "2",
    ): "where there is no clip at all, each share is 0 by whatever it is divided",
    (
        "train/data/stream.py",
        "return loaded_of(seen, key, sample=-1, position=0)",
        "1",
    ): "a streamed sample has no position in a plan, and nothing reads it",
    (
        "train/data/picture.py",
        "if draw is not None and self.flip and draw.random() < self.flip:",
        "draw.random() <= self.flip",
    ): "a drawn number of 53 bits is never quite the share that is mirrored",
    (
        "train/data/decode.py",
        "if draw is not None and views.flip and draw.random() < views.flip:",
        "draw.random() <= views.flip",
    ): "a drawn number of 53 bits is never quite the share that is mirrored",
    (
        "train/data/decode.py",
        "return array.reshape(-1, n_frames, 3, *size) if n_frames else array",
        "2",
    ): "numpy takes any number below 0 for the length that is left",
    (
        "train/data/video.py",
        _TAGS,
        "int(av.__version__.partition('.')[0]) <= 19",
    ): "speaks of PyAV 19 alone, and the tests run with one version",
    (
        "train/data/video.py",
        "for packet in group[: last + 1]:",
        "2",
    ): "reads one packet more, to no effect",
    (
        "train/data/video.py",
        "self._decoder.thread_count = 1  # one worker per core: threads would only hide the cost",
        "2",
    ): "a tuning constant: how many threads share a decoder's work",
    (
        "train/data/film.py",
        "stream.codec_context.thread_count = 1",
        "2",
    ): "a tuning constant: how many threads share a decoder's work",
    (
        "train/data/video.py",
        "reader = decord.VideoReader(io.BytesIO(data), num_threads=1)",
        "2",
    ): "a tuning constant: how many threads share a decoder's work",
    (
        "train/data/workers.py",
        "worker.join(timeout=0.5)  # its connection breaks before it has exited",
        "1.5",
    ): "a tuning constant: how long a worker's end is waited for",
    (
        "train/data/plan.py",
        "return np.zeros(1, np.int64)",
        "2",
    ): "of an index without samples no shard holds any, however many bounds there are",
    (
        "train/data/plan.py",
        "return np.searchsorted(shard, np.arange(int(shard[-1]) + 2, dtype=shard.dtype)).astype(np.int64)",
        "3",
    ): "one shard more at the end, which holds nothing",
    (
        "train/data/decode.py",
        "def read_still(mjpg: bytes, still: Still, shrink: float = 1.0) -> Pixels:",
        "2.0",
    ): "a JPEG is never decoded larger than it is",
    (
        "train/data/index.py",
        "if not ((offsets >= 0) & (sizes >= 0) & (offsets + sizes <= shard.bytes_))[there].all():",
        "offsets > 0",
    ): "at byte 0 stands the first header: the reader refuses a member there",
    (
        "train/data/stream.py",
        "while len(held.keys) < size:",
        "len(held.keys) <= size",
    ): "one chunk more is held ready, and the steps are cut alike",
    **{
        ("train/losses.py", line, new): "a drawn number of 24 bits is the share once in 17 million words"
        for line, new in (
            (_RANDOM, "fate <= 0.9"),
            (_RANDOM, "fate > 0.8"),
            ("masked[chosen & (fate < 0.8)] = tokens.mask_id", "fate <= 0.8"),
            (
                "chosen = (torch.rand(cpu_ids.shape, generator=generator) < share) & ~special",
                "torch.rand(cpu_ids.shape, generator=generator) <= share",
            ),
        )
    },
    (
        "train/losses.py",
        "own = own + 0.0 * logit_bias.sum()  # a learned bias must get a gradient, or DDP waits for it forever",
        "(own - 0.0 * logit_bias.sum())",
    ): "nothing is added or taken: the bias is named for its gradient",
    (
        "train/loop/grad_cache.py",
        "if not off <= SAME_PASS:",
        "off < SAME_PASS",
    ): "two passes are never off by just the limit",
    (
        "pipeline/site/fetch.py",
        "shutil.rmtree(self.staging, ignore_errors=True)",
        "False",
    ): "the folder was made before, when the free space was looked up",
    ("manifests/shards.py", 'said = str(head["totals"][key])[:40]', "80"): "the length at which a message is cut",
    **{
        (
            "pipeline/shards/splits.py",
            "is_val, is_test = draw < config.val, draw < config.val + config.test",
            new,
        ): "a drawn number of 64 bits is never quite the share"
        for new in ("draw <= config.val", "draw <= config.val + config.test")
    },
    (
        "pipeline/shards/splits.py",
        "several = np.bitwise_count(held[component].astype(np.uint8)) > 1",
        "np.bitwise_count(held[component].astype(np.uint8)) >= 1",
    ): "what only one split has goes there by its neighbours too, more slowly",
    (
        "pipeline/shards/files.py",
        'name = data[:100].partition(b"\\0")[0].decode("ascii", "replace")',
        "200",
    ): "a sample's name in its header is shorter, and ends with a zero byte",
    (
        "pipeline/shards/files.py",
        "seconds = round(entry.hours * 3600, 3)",
        "4",
    ): "clips last whole milliseconds: a fourth decimal is 0",
    (
        "manifests/shards.py",
        "data = bytes(file.read(max_bytes + 1))",
        "2",
    ): "what is read beyond the limit only says that there is more",
    (
        "pipeline/shards/plan.py",
        _EDGES,
        "by_bytes > by_count",
    ): "where both ask for as many shards either is as good",
    (
        "train/objectives/mvm.py",
        'return {"mvm_draws": torch.stack([drawn[:, 0], (drawn[:, 1] < config.mvm_share).float()], 1)}',
        "drawn[:, 1] <= config.mvm_share",
    ): "a drawn number of 24 bits is the share once in 17 million rows",
    (
        "train/objectives/mvm.py",
        'rows = [torch.rand(2, generator=draw.generator(batch, i, PURPOSES["mvm"])) for i in range(len(batch))]',
        "3",
    ): "a third number is drawn, and not used",
    ("train/data/decode.py", _STILL, "still.size <= 1"): "a JPEG of one byte is refused by its decoder",
    ("train/data/decode.py", _STILL, "2"): "a JPEG of one byte is refused by its decoder",
    ("train/data/stream.py", _STREAM, "3"): "a tuning constant: how full the shuffle buffer is before the first sample "
    "leaves it",
    (
        "pipeline/text/captions/cues.py",
        "in_comment, previous_index = False, -1",
        "True",
    ): "before the first cue nothing is read, and each time line ends a comment",
    (
        "pipeline/text/captions/cues.py",
        "index = int(above) if above.isascii() and above.isdigit() and len(above) < 9 else -1",
        "2",
    ): "any number below 0 says that the line is no number",
    (
        "pipeline/text/captions/markup.py",
        'if text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):',
        "30",
    ): "as much of the text as the longer word has, or more",
}
"""(path, line of the source, its replacement) -> why no user could notice the change."""

_OFTEN = "how often something is looked at, written or said"
_PIECE = "how much is read, held or done at a time"
_PATIENCE = "how long something is waited for or tried before the next step"
_ABSURD = "a bound far beyond what a real file has: what is absurd is refused a little later"
_MESSAGE = "the length at which a message is cut"
TUNING = {
    "pipeline/engine/work/attempt.py": {"DETAIL_CHARACTERS": _MESSAGE},
    "pipeline/engine/work/boundary.py": {"STORE_WAIT_S": _PATIENCE, "ROW_ENDS_AFTER_S": _PATIENCE},
    "pipeline/engine/on_ray/machines.py": {"LOOK_EVERY_S": _OFTEN},
    "pipeline/engine/on_ray/cluster.py": {
        "OVERDUE_GRACE_S": _PATIENCE,
        "FORGET_EVERY": _OFTEN,
        "ROLL_WAIT_S": _PATIENCE,
    },
    "pipeline/engine/store/commits.py": {"READERS": _PIECE},
    "pipeline/engine/store/committed.py": {"MAX_MOVED": _PATIENCE},
    "pipeline/engine/run/status_and_control.py": {
        "TAKE_EVERY_S": _OFTEN,
        "WRITE_EVERY_S": _OFTEN,
        "READ_EVERY_S": _OFTEN,
    },
    "pipeline/engine/run/driver.py": {"POLL_S": _OFTEN, "QUEUE": _PIECE, "GROUP_S": _OFTEN, "LEAST": _PIECE},
    "pipeline/engine/store/files.py": {"BLOCK_BYTES": _PIECE},
    "pipeline/engine/store/follow.py": {"PARTS_AT_A_TIME": _PIECE, "MOST_SPANS": _PIECE},
    "pipeline/engine/store/ids.py": {"WHOLE_BYTES": _PIECE, "WINDOW": _PIECE, "AT_A_TIME": _PIECE},
    "pipeline/engine/work/limits.py": {"KILL_AFTER_S": _PATIENCE},
    "pipeline/engine/run/stage_run.py": {"ASK_EVERY_S": _OFTEN},
    "pipeline/engine/run/lock.py": {"RENEW_S": _OFTEN, "POLL_S": _OFTEN},
    "pipeline/engine/store/merge.py": {"MOST_AT_ONCE": _PIECE},
    "pipeline/engine/store/merge_ids.py": {"MOST_APART": _PIECE, "FACTOR": _PIECE},
    "pipeline/engine/run/merger.py": {"LOOK_EVERY_S": _OFTEN},
    "pipeline/engine/run/name_set.py": {"RECENT": _PIECE},
    "pipeline/engine/store/outage.py": {"FIRST_WAIT_S": _PATIENCE, "LONGEST_WAIT_S": _PATIENCE, "SAY_EVERY_S": _OFTEN},
    "pipeline/engine/run/progress.py": {"PLAIN_EVERY_S": _OFTEN},
    "pipeline/engine/store/ranges.py": {"TAIL_BYTES": _PIECE, "SPAN_BYTES": _PIECE, "AT_ONCE": _PIECE},
    "pipeline/engine/on_ray/ray_session.py": {"CONNECT_S": _PATIENCE, "SPEAK_S": _PATIENCE},
    "pipeline/engine/store/segment_files.py": {"GROUP_ROWS": _PIECE, "GROUP_BYTES": _PIECE},
    "pipeline/engine/store/store.py": {"MANY_READ": _PIECE, "MAX_KEPT_BYTES": _PIECE, "PIECE_BYTES": _PIECE},
    "pipeline/site/addresses.py": {"BLOCK_BYTES": _PIECE, "SPEED_AFTER_S": _PATIENCE, "LONGEST_RETRY_AFTER_S": _ABSURD},
    "pipeline/site/fetch.py": {
        "LONGEST_WAIT_HERE_S": _PATIENCE,
        "SPARE_S": _PATIENCE,
        "SPARE_BYTES": _PIECE,
        "SPEED_WINDOW_S": _PATIENCE,
    },
    "pipeline/site/hosts.py": {"POLL_S": _OFTEN},
    "pipeline/site/optout.py": {"MAX_BYTES": _ABSURD, "TIMEOUT_S": _PATIENCE},
    "pipeline/site/own_hosts.py": {"MAX_HOPS": _PATIENCE},
    "pipeline/site/politeness.py": {
        "NO_NETWORK_STOPS": _PATIENCE,
        "POLL_S": _OFTEN,
        "SAVE_EVERY_S": _OFTEN,
        "READ_CONTROL_EVERY_S": _OFTEN,
    },
    "pipeline/site/ytdlp.py": {"MAX_WARNINGS": _ABSURD, "MAX_LISTS": _PATIENCE, "MAX_SITES": _PIECE},
    "pipeline/text/boundary/features.py": {"MAX_ROWS": _ABSURD},
    "pipeline/text/boundary/net.py": {"PART": _PIECE},
    "pipeline/text/captions/markup.py": {"MAX_BYTES": _ABSURD, "MAX_MARKS": _ABSURD},
    "pipeline/text/captions/track.py": {"MAX_MS": _ABSURD},
    "pipeline/text/captions/words.py": {"MAX_TOKENS": _ABSURD},
    "pipeline/text/clip_plan.py": {"MAX_SPANS": _ABSURD},
    "pipeline/text/transcripts.py": {"SHINGLES_AT_ONCE": _PIECE},
    "pipeline/media/clock.py": {"WALL_FACTOR": _PATIENCE},
    "pipeline/media/cutting/window.py": {"_STEPS_BACK_S": _PIECE},
    "pipeline/media/decode_pass.py": {
        "_MOST_AT_ONCE": _PIECE,
        "_HELD_PIXELS": _PIECE,
        "_CLOCK_EVERY": _OFTEN,
        "_SEEK_GAP_MS": _PIECE,
    },
    "pipeline/media/ffmpeg.py": {"_LAST_LINES": _MESSAGE, "_LAST_CHARACTERS": _MESSAGE},
    "pipeline/media/hearing.py": {"_FIRST_ASKED_S": _PIECE},
    "pipeline/media/members/proxy.py": {"_AT_ONCE": _PIECE},
    "pipeline/media/packs.py": {"_COPY_BYTES": _PIECE},
    "pipeline/media/phash.py": {"_AT_ONCE": _PIECE},
    "pipeline/media/probe.py": {"_FIRST_PACKETS": _PATIENCE},
    "pipeline/media/shots.py": {"_BLOCK": _PIECE},
    "pipeline/media/stopwatch.py": {"RECKON_EVERY_S": _OFTEN},
    "pipeline/media/stage.py": {"_START_S": _PATIENCE},
    "pipeline/shards/files.py": {"BATCH_BYTES": _PIECE},
    "pipeline/shards/sample_index.py": {"READ_THREADS": _PIECE},
    "manifests/shards.py": {
        "MAX_SHARDS": _ABSURD,
        "MAX_SHARD_ROWS": _ABSURD,
        "MAX_JSON_BYTES": _ABSURD,
        "MAX_TABLE_BYTES": _ABSURD,
    },
    "train/data/audio.py": {"MAX_SAMPLES": _ABSURD},
    "train/data/film.py": {"MAX_FILE_BYTES": _ABSURD},
    "train/data/index.py": {"READ_THREADS": _PIECE, "HASHED_BYTES": _PIECE, "COPY_BYTES": _PIECE},
    "train/data/loader.py": {"N_SPARES": _PIECE, "MOST_IN_FLIGHT": _PIECE, "MOST_NAMED": _MESSAGE},
    "train/data/mel.py": {"MAX_BYTES": _ABSURD},
    "train/data/plan.py": {"_WINDOWS_KEPT": _PIECE},
    "train/data/read.py": {
        "GAP_BYTES": _PIECE,
        "OPEN_FILES": _PIECE,
        "MAX_MEMBER_BYTES": _ABSURD,
        "RETRY_AFTER_S": _PATIENCE,
    },
    "train/data/stream.py": {"BUFFER_SHARE": _PIECE},
    "train/data/video.py": {"MAX_PIXELS": _ABSURD, "MAX_PACKETS": _ABSURD},
}
"""File -> constant -> why no user could notice another number there.

It does not explain changed signs and operators. It does not list anything that a document names, that changes a byte of
a data set, or that decides about a video or clip.
"""
