"""A self-signed TLS certificate for the site's host names, made at start-up and never kept."""

import datetime
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HOSTS = ("www.youtube.com", "youtube.com", "*.youtube.com", "*.googlevideo.com", "*.ytimg.com", "*.googleapis.com")


def server_context() -> ssl.SSLContext:
    """Makes a server's TLS settings with a fresh certificate (P-256, valid for a year), HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "certificate.pem"
        pem.touch(mode=0o600)
        pem.write_bytes(key_and_certificate())
        context.load_cert_chain(pem)
    return context


def key_and_certificate(hosts: Sequence[str] = _HOSTS) -> bytes:
    """Makes a private key and certificate for these host names, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hdvila mini-YouTube")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
