"""Only addresses of the public internet are public, the same on every Python."""

from ipaddress import ip_address

import pytest

from pipeline.site.networks import is_public


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "192.0.0.8",
        "192.0.2.1", "192.88.99.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1",
        "255.255.255.255", "::1", "::", "::127.0.0.1", "::8.8.8.8", "fe80::1", "fec0::1", "fd00::1", "ff02::1", "100::",
        "64:ff9b:1::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1", "2001:2::1", "2001:10::1",
        "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
    ],
)  # fmt: skip
def test_special_networks_are_not_public_also_where_an_address_is_wrapped(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "192.0.0.9", "192.0.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2001:4860::8888",
        "2001:3::1", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::",
    ],
)  # fmt: skip
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))
