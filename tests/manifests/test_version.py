"""The version of the contract."""

from manifests import version


def test_this_is_version_1_of_the_contract():
    assert version.SCHEMA_VERSION == 1
