"""TLS and basic authentication against a real Prometheus: right credentials read, wrong ones get one clear message."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from models.errors import MetricsError
from simulator.cli.usage import command
from simulator.ingest.prometheus_http import Access, Server
from usage_company import START, hour, openmetrics, pods, prometheus

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs the Debian package prometheus"),
]
PASSWORD = "s3cret"
BCRYPT = "$2b$04$GwzKDu/KdR/.9hZ8xTOC9.7gu26X8tvV7jqRklT9LimlLWG9CucB."  # of PASSWORD


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself: the file to trust; its key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "cert.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("secure")
    certificate = _certificate(folder)
    web = folder / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: {certificate}, key_file: {folder / 'key.pem'}}}\nbasic_auth_users: {{ann: '{BCRYPT}'}}\n"
    )
    with prometheus(folder, openmetrics(pods()[:3]), web) as url:
        yield url, certificate


def test_the_command_reads_over_tls_with_a_password(secured: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, certificate = secured
    monkeypatch.setenv("PROMETHEUS_PASSWORD", PASSWORD)
    arguments = ["--prometheus", url, "--ca", str(certificate), "--user", "ann", "--password-env", "PROMETHEUS_PASSWORD",
                 "--from", START.isoformat(), "--to", hour(1).isoformat(), "--json"]  # fmt: skip
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert document["peaks"]["cpu_request_m"] == 1500.0
    assert PASSWORD not in result.output


def test_an_unknown_authority_points_to_ca(secured: tuple[str, Path]) -> None:
    with pytest.raises(MetricsError, match=r"a TLS connection that fails .*--ca FILE"), Server(Access(secured[0])) as server:
        server.now()


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_one_message(secured: tuple[str, Path], password: str | None) -> None:
    url, certificate = secured
    access = Access(url, user="ann" if password else None, password=password, ca=certificate)
    with pytest.raises(MetricsError, match="401 Unauthorized; give a bearer token") as caught, Server(access) as server:
        server.now()
    assert len(caught.value.problems) == 1
