"""A file that is read by ranges is the same file."""

import io

from hypothesis import given
from hypothesis import strategies as st

from manifests.ranges import Ranges


@given(st.binary(max_size=50), st.lists(st.tuples(st.integers(0, 60), st.integers(-1, 60))), st.integers(1, 9))
def test_a_file_that_is_read_by_ranges_is_the_same_file(data: bytes, reads: list[tuple[int, int]], ahead: int) -> None:
    file = io.BufferedReader(Ranges(lambda start, end: data[start:end], len(data)), ahead)
    for at, size in reads:
        file.seek(at)
        assert file.read(size) == data[at:][: size if size >= 0 else None]
    assert file.seek(-0, io.SEEK_END) == len(data) and file.tell() == len(data)
