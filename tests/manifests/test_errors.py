"""Errors that a user is meant to read end a command with 2, also where a caller catches the plain kind."""

import pytest

from manifests.errors import ConfigError, DamagedFile, UserError


@pytest.mark.parametrize("kind", [UserError, ConfigError, DamagedFile])
def test_each_is_the_users_to_correct(kind: type[UserError]) -> None:
    assert issubclass(kind, UserError) and kind("x").exit_code == 2


def test_a_damaged_file_is_caught_where_a_bad_value_is() -> None:
    with pytest.raises(ValueError, match="is no JSON"):
        raise DamagedFile("manifest.json: is no JSON")
