"""Errors of object stores: what may pass is told from what a person has to cure, without the stores' libraries."""

import errno

import pytest
from aiohttp import ServerDisconnectedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from manifests.errors import UserError
from manifests.storage import StorageErrorsExplained, explain, is_passing, storage_errors

AWAY = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
SLOW = ReadTimeoutError(endpoint_url="http://127.0.0.1:9")
REFUSED = ClientError({"Error": {"Code": "NoSuchBucket", "Message": "none"}}, "PutObject")


@pytest.mark.parametrize("error", [AWAY, SLOW, OSError(errno.EIO, "5xx"), ConnectionResetError(), TimeoutError()])
def test_what_may_go_well_a_little_later_is_passing(error: Exception):
    assert is_passing(error)


@pytest.mark.parametrize(
    "error", [NoCredentialsError(), FileNotFoundError(), PermissionError(), OSError(errno.EINVAL, "x"), ValueError()]
)
def test_what_stays_wrong_is_not(error: Exception):
    assert not is_passing(error)


@pytest.mark.parametrize("error", [AWAY, REFUSED, OSError(errno.EIO, "5xx"), ServerDisconnectedError()])
def test_what_a_store_raises_is_caught_by_its_kinds_and_a_mistake_in_code_is_not(error: Exception):
    assert isinstance(error, storage_errors())
    assert not issubclass(KeyError, storage_errors())


def test_an_error_of_a_store_becomes_one_message_with_its_cure():
    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID"), StorageErrorsExplained():
        raise NoCredentialsError
    with pytest.raises(UserError, match="the bucket"), StorageErrorsExplained():
        raise FileNotFoundError("none") from REFUSED


def test_other_errors_pass_as_they_are():
    assert explain(ValueError("x")) == "" and explain(FileNotFoundError("x")) == ""
    with pytest.raises(ZeroDivisionError), StorageErrorsExplained():
        raise ZeroDivisionError
