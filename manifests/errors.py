"""The one exception that a user is meant to read.

    UserError            the user can cure it: a config, a path, a file, a network. No traceback, exit code 2.
    └── ConfigError      a key or value in a configuration.

Everything else that escapes a command is a bug and keeps its traceback.
"""


class UserError(Exception):
    """A message that names the thing, the reason and the cure. Commands print it and exit with 2."""


class ConfigError(UserError):
    """A configuration that cannot be used: the message names the key and, where there is one, the nearest right key."""
