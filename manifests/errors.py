"""The exceptions whose messages are meant for users, and which errors come from a disk or an object store.

    UserError            the user can fix it: a config, a path, a file, a network. No traceback, exit code 2.
    ├── ConfigError      a key or value in a configuration.
    └── DamagedFile      a file of a data set or run with invalid contents.

Any other exception that escapes a command is a bug, keeps its traceback and ends with exit code 4 (manifests/exits.py).

An object store's errors are recognised by the module they come from, so that no store's library has to be imported for
it: s3fs and gcsfs raise some errors of their own libraries unchanged, and others as an OSError caused by such an error.
"""

import errno
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import ClassVar, TypeGuard


def printable(line: str) -> str:
    """A line of text from elsewhere without what a terminal would obey, and what cannot be written as UTF-8."""
    return line if line.isprintable() else "".join(char if char.isprintable() else "�" for char in line)


class UserError(Exception):
    """A message that names the thing, the reason and the cure. Commands print it and exit with `exit_code`."""

    exit_code: ClassVar[int] = 2

    def __str__(self) -> str:
        """The message, whose lines may name what a stranger wrote: titles, members, files."""
        return "\n".join(map(printable, super().__str__().split("\n")))


class ConfigError(UserError):
    """An unusable configuration: the message names the key and, if any, the nearest correct key."""


class DamagedFile(UserError, ValueError):
    """A file of a data set or run with invalid contents: the message names the file and what is wrong."""


_LIBRARIES = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google"}
_CURES = {
    "NoCredentialsError": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws",
    "PartialCredentialsError": "the credentials are not complete; set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ProfileNotFound": "the profile is not in ~/.aws; correct AWS_PROFILE",
    "EndpointConnectionError": "the store cannot be reached; check the network and AWS_ENDPOINT_URL",
}
_OWN_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("gcsfs.retry", "HttpError"),
)
SICK = frozenset({errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ENOTCONN, errno.EREMOTEIO}) | {
    errno.EMFILE,
    errno.ENFILE,
}
"""Errors of a disk, of a mount, or of a process out of file handles: they say nothing about the file itself."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk, or of a share of it, that is full."""
_PASSING = {errno.EIO, errno.EREMOTEIO, errno.EBUSY, errno.ETIMEDOUT, errno.EAGAIN}


def is_passing(error: BaseException) -> bool:
    """Whether a call to a remote store may succeed a little later: lost connections, time-outs, 5xx, "slow down"."""
    if isinstance(error, FileNotFoundError) and "NoSuchUpload" in repr(error.__cause__):
        return True  # a multipart upload was completed, or aborted, by a request whose answer was lost
    if isinstance(error, OSError) and "BadDigest" in repr(error.__cause__):
        return True  # the store got other bytes than were sent
    if isinstance(error, FileNotFoundError | FileExistsError | PermissionError) or is_of_other_bytes(error):
        return False
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    return is_of_a_store(error) and type(error).__name__ not in _CURES.keys() - {"EndpointConnectionError"}


def is_of_other_bytes(error: BaseException) -> bool:
    """Whether a store's client got other bytes of an object than the store has a checksum of."""
    return type(error).__name__ == "FlexibleChecksumError"


def is_of_the_place(error: BaseException) -> bool:
    """Whether an error in reading a file says something about its disk or store, and nothing about what is in it."""
    return is_passing(error) or (isinstance(error, OSError) and error.errno in SICK)


def is_of_a_disk(error: BaseException) -> TypeGuard[OSError]:
    """Whether a disk or mount of this machine failed or is full: neither a bug nor a user error."""
    return isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno in SICK | FULL


def storage_errors() -> tuple[type[BaseException], ...]:
    """What reading from a disk or a store may raise, for an `except`: a lost connection is not always an OSError."""
    # a library that is not loaded raises nothing
    own = (getattr(sys.modules.get(module), name, None) for module, name in _OWN_ERRORS)
    return (OSError, *(kind for kind in own if kind is not None))


def message_of_store_error(error: BaseException) -> str:
    """One message for users: a store's error and its cure; "" for an error that is not a store's."""
    cause = error if is_of_a_store(error) else error.__cause__
    if cause is None or not is_of_a_store(cause):
        return ""
    cure = _CURES.get(type(cause).__name__, "check the url, the bucket and the rights of the credentials")
    return f"the object store refused: {error}; {cure}"


def is_of_a_store(error: BaseException) -> bool:
    """Whether an object store's library raised this error."""
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__)


class StorageErrorsExplained(AbstractContextManager[None]):
    """Inside the block an object store's error becomes a UserError; other errors pass unchanged."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and (message := message_of_store_error(error)):
            raise UserError(message) from error
