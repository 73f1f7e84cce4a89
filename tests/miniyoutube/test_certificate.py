"""The site's certificate: for its hosts, by TLS, and another one at each start."""

import ssl

from cryptography import x509

from miniyoutube.certificate import key_and_certificate, server_context


def test_it_names_the_sites_hosts_and_is_new_each_time() -> None:
    made = [x509.load_pem_x509_certificate(key_and_certificate()) for _ in range(2)]
    names = made[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"www.youtube.com", "*.googlevideo.com"} <= set(names.get_values_for_type(x509.DNSName))
    assert made[0].serial_number != made[1].serial_number
    assert isinstance(server_context(), ssl.SSLContext)
