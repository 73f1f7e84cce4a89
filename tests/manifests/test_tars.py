"""Headers of tars: those of plain files, and nothing that a stranger may write."""

import io
import tarfile
import time

import pytest

from manifests.errors import UserError
from manifests.tars import plain_members

HUGE = 2**60
FOREIGN = {
    "a size beyond the tar": (tarfile.REGTYPE, HUGE),
    "a size that has no block": (tarfile.REGTYPE, 2**61),
    "a negative size": (tarfile.REGTYPE, -512),
    "a link": (tarfile.SYMTYPE, 0),
    "a hard link": (tarfile.LNKTYPE, 0),
    "a folder": (tarfile.DIRTYPE, 0),
    "a sparse member": (tarfile.GNUTYPE_SPARSE, HUGE),
    "a long name": (tarfile.GNUTYPE_LONGNAME, HUGE),
    "pax records": (tarfile.XHDTYPE, HUGE),
    "pax records for all": (tarfile.XGLTYPE, HUGE),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_member_that_a_stranger_wrote_is_refused_before_anything_of_it_is_read(what: str):
    film, info = tarfile.TarInfo("a.mp4"), tarfile.TarInfo("a.json")
    film.size = 3
    info.type, info.size = FOREIGN[what]
    tar = io.BytesIO(film.tobuf() + b"mp4".ljust(512, b"\0") + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))

    began = time.process_time()
    with pytest.raises(UserError, match=r"not a readable tar .*('a\.json' at byte 1024|invalid)"):
        list(plain_members(tar))
    assert time.process_time() - began < 1
