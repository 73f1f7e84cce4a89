"""Changes that `bench.mutate` can make and no user could notice, each with its reason."""

_STREAM = "yield from shards.shuffle(buffer, initial=buffer // 2 + 1, seed=seed)"
_SEVERITY = "return 3 if seen.status == 429 else 2 if seen.status >= 400 else 1 if not seen.status else 0"
_FAULT = "yield DecodeFault(time_ms(packet.pts or 0), str(error)[:120])"
_RANDOM = "random = chosen & (fate >= 0.8) & (fate < 0.9)"
_PAST_END = "if packet.pts is not None and packet.pts >= end:"
EXPLAINED = {
    (
        "pipeline/engine/ray_session.py",
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
    ("pipeline/media/frames.py", _FAULT, "240"): "the length at which a message is cut",
    ("pipeline/site/failures.py", _SEVERITY, "1"): "a request that succeeded is no failure, wherever it is sorted",
    (
        "train/objectives/itm.py",
        "wanted = lot < NEGATIVE_SHARE",
        "lot <= NEGATIVE_SHARE",
    ): "a drawn number of 53 bits is never quite the share",
    (
        "pipeline/engine/commits.py",
        "self._last[stage] = 1 + max(self.floor.get(stage, 0), self._last[stage])",
        "1",
    ): "numbers of commits begin at 2; only their order counts",
    (
        "pipeline/engine/live.py",
        "self._charges.pop(unit.name, None)",
        "pass",
    ): "the record of a unit that ended is kept until its stage is over, some hundred bytes",
    (
        "pipeline/engine/attempt.py",
        "wait_s: float = 0.0",
        "1.0",
    ): "only what is tried again has a time to wait, and it always says which",
    (
        "pipeline/engine/outage.py",
        "if time.monotonic() - said > SAY_EVERY_S:",
        "time.monotonic() - said >= SAY_EVERY_S",
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
        "train/grad_cache.py",
        "if not off <= SAME_PASS:",
        "off < SAME_PASS",
    ): "two passes are never off by just the limit",
    (
        "pipeline/site/fetch.py",
        "shutil.rmtree(self.staging, ignore_errors=True)",
        "False",
    ): "the folder was made before, when the free space was looked up",
    ("train/data/stream.py", _STREAM, "3"): "a tuning constant: how full the shuffle buffer is before the first sample "
    "leaves it",
}
"""(path, line of the source, what stands there instead) -> why no user could notice the change."""
