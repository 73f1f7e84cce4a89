"""The exceptions that a user is meant to read.

    UserError            the user can correct it: a config, a path, a file, a network. No traceback, exit code 2.
    ├── ConfigError      a key or value in a configuration.
    └── DamagedFile      a file of a data set or run that cannot be what it says.

Everything else that escapes a command is a bug, keeps its traceback and ends with exit code 4 (manifests/exits.py).
"""

from typing import ClassVar


class UserError(Exception):
    """A message that names the thing, the reason and the cure. Commands print it and end with `exit_code`."""

    exit_code: ClassVar[int] = 2


class ConfigError(UserError):
    """A configuration that cannot be used: the message names the key and, where there is one, the nearest right key."""


class DamagedFile(UserError, ValueError):
    """A file of a data set or run that is not what it should be: the message names the file and what is wrong."""
