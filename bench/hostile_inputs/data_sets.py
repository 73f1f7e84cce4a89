from collections.abc import Iterator

from bench.hostile_inputs import Case, Home


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    yield from ()
