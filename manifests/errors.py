"""The exceptions whose messages are meant for users.

    UserError            the user can fix it: a config, a path, a file, a network. No traceback, exit code 2.
    ├── ConfigError      a key or value in a configuration.
    └── DamagedFile      a file of a data set or run with invalid contents.

Any other exception that escapes a command is a bug, keeps its traceback and ends with exit code 4 (manifests/exits.py).
"""

from typing import ClassVar


class UserError(Exception):
    """A message that names the thing, the reason and the cure. Commands print it and exit with `exit_code`."""

    exit_code: ClassVar[int] = 2


class ConfigError(UserError):
    """An unusable configuration: the message names the key and, if there is one, the nearest correct key."""


class DamagedFile(UserError, ValueError):
    """A file of a data set or run with invalid contents: the message names the file and what is wrong."""
