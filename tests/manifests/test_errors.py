"""Errors that a user is meant to read end a command with 2, also where a caller catches the plain kind."""

import errno

import pytest
from aiohttp import ServerDisconnectedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from manifests.errors import (
    DamagedFile,
    StorageErrorsExplained,
    UserError,
    is_of_the_place,
    is_passing,
    message_of_store_error,
    storage_errors,
)


def test_a_message_says_nothing_that_a_terminal_would_obey_and_keeps_its_lines() -> None:
    error = DamagedFile("shard \x1b]0;title\x07 a\udcff\u202e: wrong:\n  second line")
    assert str(error) == "shard �]0;title� a��: wrong:\n  second line"


def test_a_damaged_file_is_caught_where_a_bad_value_is() -> None:
    with pytest.raises(ValueError, match="is no JSON"):
        raise DamagedFile("manifest.json: is no JSON")


AWAY = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
SLOW = ReadTimeoutError(endpoint_url="http://127.0.0.1:9")
REFUSED = ClientError({"Error": {"Code": "NoSuchBucket", "Message": "none"}}, "PutObject")


@pytest.mark.parametrize("error", [AWAY, SLOW, OSError(errno.EIO, "5xx"), ConnectionResetError(), TimeoutError()])
def test_what_may_go_well_a_little_later_is_passing(error: Exception):
    assert is_passing(error)


@pytest.mark.parametrize(
    "error", [NoCredentialsError(), FileNotFoundError(), PermissionError(), OSError(errno.EINVAL, "x"), ValueError()]
)
def test_an_error_that_a_person_must_cure_is_not_taken_for_a_passing_one(error: Exception):
    assert not is_passing(error)


@pytest.mark.parametrize("error", [AWAY, REFUSED, OSError(errno.EIO, "5xx"), ServerDisconnectedError()])
def test_what_a_store_raises_is_caught_by_its_kinds_and_a_mistake_in_code_is_not(error: Exception):
    assert isinstance(error, storage_errors())
    assert not issubclass(KeyError, storage_errors())


@pytest.mark.parametrize("error", [AWAY, SLOW, OSError(errno.EIO, "x"), OSError(errno.ESTALE, "x")])
def test_a_disk_or_a_store_that_fails_says_nothing_of_a_file(error: Exception):
    assert is_of_the_place(error)


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(2, "x"), OSError("Couldn't deserialize thrift"), OSError(errno.EINVAL, "x"), ValueError()],
)
def test_a_file_that_is_missing_or_of_no_use_is_not_the_place_s_fault(error: Exception):
    assert not is_of_the_place(error)


def test_an_error_of_a_store_becomes_one_message_with_its_cure():
    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID"), StorageErrorsExplained():
        raise NoCredentialsError
    with pytest.raises(UserError, match="the bucket"), StorageErrorsExplained():
        raise FileNotFoundError("none") from REFUSED


def test_other_errors_pass_as_they_are():
    assert message_of_store_error(ValueError("x")) == "" and message_of_store_error(FileNotFoundError("x")) == ""
    with pytest.raises(ZeroDivisionError), StorageErrorsExplained():
        raise ZeroDivisionError
