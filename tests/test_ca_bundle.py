"""The committed certificate authorities of RDS, and their renewal."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import ca_bundle
from components import metadata_database
from node.artifacts import CA_BUNDLE
from tests.node import certificates
from tests.node.certificates import Certificates
from tests.node.fake_server import Answer, FakeServer, serving

NOW = datetime(2026, 11, 26, tzinfo=UTC)
WHOLE = CA_BUNDLE.read_bytes()
END = b"-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture
def answers() -> list[Answer]:
    """The response of AWS's trust store."""
    return [Answer(200, WHOLE, {"Content-Length": str(len(WHOLE))})]


@pytest.fixture
def trust_store(tls: Certificates, answers: list[Answer]) -> Iterator[FakeServer]:
    with serving(lambda _: answers[0], tls) as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the committed file without its last authority."""
    path = tmp_path / CA_BUNDLE.name
    path.write_bytes(END.join(WHOLE.split(END)[:-2]) + END)
    return path


def _renew(server: FakeServer, file: Path, tls: Certificates, now: datetime = NOW) -> list[str]:
    return ca_bundle.renew(server.url, file, ssl.create_default_context(cafile=str(tls.authority)), now)


def test_the_committed_bundle_holds_every_authority_of_every_region():
    assert ca_bundle.list_faults(ca_bundle.authorities(WHOLE), NOW) == []
    assert metadata_database.CERTIFICATE_AUTHORITY == "rds-ca-rsa2048-g1"


def test_the_committed_authorities_are_self_signed():
    for one in ca_bundle.authorities(WHOLE).values():
        one.verify_directly_issued_by(one)


def test_a_new_authority_is_added_and_named(trust_store: FakeServer, file: Path, tls: Certificates):
    said = _renew(trust_store, file, tls)
    assert file.read_bytes() == WHOLE
    (line,) = [line for line in said if line.startswith("  new: ")]
    assert line.startswith(f"  new:     {list(ca_bundle.authorities(WHOLE))[-1]}, SHA-256 ")
    assert "pulumi up" in said[-1]


def test_an_authority_that_is_gone_or_has_changed_is_named():
    found = ca_bundle.authorities(WHOLE)
    first, second, third, *_ = found
    before = {first: found[first], second: found[third]}
    after = {second: found[second]}
    assert ca_bundle.list_changes(before, after) == [
        f"  changed: {second}, SHA-256 {found[second].fingerprint(ca_bundle.SHA256()).hex()}",
        f"  gone:    {first}",
    ]


def test_a_bundle_that_is_up_to_date_is_not_changed(trust_store: FakeServer, file: Path, tls: Certificates):
    file.write_bytes(WHOLE)
    assert _renew(trust_store, file, tls) == [f"{file.name} is up to date: {WHOLE.count(END)} authorities."]


def test_authorities_that_expire_within_a_year_are_named(trust_store: FakeServer, file: Path, tls: Certificates):
    file.write_bytes(WHOLE)
    _, line, *_ = _renew(trust_store, file, tls, datetime(2060, 7, 1, tzinfo=UTC))
    assert line.startswith("  expires on 2061-05-")


def test_a_bundle_with_an_expired_authority_is_refused(trust_store: FakeServer, file: Path, tls: Certificates):
    before = file.read_bytes()
    with pytest.raises(ca_bundle.CaBundleError, match="Amazon RDS eu-west-1 Root CA RSA2048 G1 expired on 2061-05"):
        _renew(trust_store, file, tls, datetime(2062, 1, 1, tzinfo=UTC))
    assert file.read_bytes() == before


BAD = {
    "lacks a region": (Answer(200, END.join(WHOLE.split(END)[3:])), "Amazon RDS .* is missing"),
    "breaks off": (Answer(200, WHOLE[:9000], {"Content-Length": str(len(WHOLE))}), "bytes early|IncompleteRead"),
    "breaks off without a length": (Answer(200, WHOLE[:9000]), "Amazon RDS .* is missing|not a bundle of PEM"),
    "is an error page": (Answer(200, b"<html>later</html>"), "not a bundle of PEM certificates"),
    "is refused": (Answer(403), "cannot be fetched: HTTP Error 403"),
}


@pytest.mark.parametrize(("answer", "words"), BAD.values(), ids=BAD)
def test_an_invalid_bundle_is_refused(
    answers: list[Answer], answer: Answer, words: str, trust_store: FakeServer, file: Path, tls: Certificates
):
    answers[:], before = [answer], file.read_bytes()
    with pytest.raises(ca_bundle.CaBundleError, match=words):
        _renew(trust_store, file, tls)
    assert file.read_bytes() == before


def test_a_server_without_a_trusted_certificate_is_refused(trust_store: FakeServer, file: Path):
    with pytest.raises(ca_bundle.CaBundleError, match="CERTIFICATE_VERIFY_FAILED"):
        ca_bundle.renew(trust_store.url, file, ssl.create_default_context(), NOW)


def test_a_redirect_to_plain_http_is_refused(
    answers: list[Answer], trust_store: FakeServer, file: Path, tls: Certificates
):
    with serving(lambda _: Answer(200, WHOLE)) as plain:
        answers[:] = [Answer(302, headers={"Location": f"{plain.url}/bundle.pem"})]
        with pytest.raises(ca_bundle.CaBundleError, match="which is not HTTPS"):
            _renew(trust_store, file, tls)
