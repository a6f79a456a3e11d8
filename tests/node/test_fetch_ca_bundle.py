from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node import certificates
from tests.node.certificates import Certificates
from tests.node.fake_server import Answer, FakeServer, Request, serving
from tests.node.programs import load

fetch_ca_bundle = load("fetch-ca-bundle")


class _TrustStore:
    """AWS's trust store: gives the answers one after the other, the last one for ever."""

    def __init__(self, files: Certificates) -> None:
        self.answers = [Answer(200, files.authority.read_bytes() * 3)]

    def __call__(self, _: Request) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture
def answers(files: Certificates) -> _TrustStore:
    return _TrustStore(files)


@pytest.fixture
def trust_store(files: Certificates, answers: _TrustStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(fetch_ca_bundle.boot_step, "wait", lambda _: None)
    with serving(answers, files) as server:
        yield server


@pytest.fixture
def trusting(files: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files.authority))


def test_the_bundle_is_fetched_and_readable_to_all(trust_store: FakeServer, trusting: ssl.SSLContext, tmp_path: Path):
    outcome = fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", trusting)
    assert "certificate authorities fetched" in outcome
    assert fetch_ca_bundle.certificates((tmp_path / "bundle.pem").read_bytes()) == 1
    assert (tmp_path / "bundle.pem").stat().st_mode & 0o777 == 0o644, "Airflow's user has to read it"


def test_a_trust_store_that_nobody_vouches_for_is_not_believed(trust_store: FakeServer, tmp_path: Path):
    with pytest.raises(
        fetch_ca_bundle.StepFailedError, match=r"CERTIFICATE_VERIFY_FAILED.*no connection to the database"
    ):
        fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", ssl.create_default_context())
    assert not (tmp_path / "bundle.pem").exists()


def test_the_node_itself_believes_only_the_systems_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seen: list[ssl.SSLContext] = []
    monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / "bundle.pem"))
    monkeypatch.setattr(fetch_ca_bundle, "fetch", lambda _url, _target, context: seen.append(context))
    fetch_ca_bundle.step()
    assert seen[0].verify_mode is ssl.CERT_REQUIRED
    assert seen[0].check_hostname
    assert fetch_ca_bundle.URL == "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


def test_a_hiccup_of_the_network_is_waited_out(
    answers: _TrustStore, trust_store: FakeServer, trusting: ssl.SSLContext, tmp_path: Path
):
    answers.answers[:0] = [Answer(503), Answer(500)]
    fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", trusting)
    assert len(trust_store.requests) == 3


def test_an_error_page_is_no_bundle(
    answers: _TrustStore, trust_store: FakeServer, trusting: ssl.SSLContext, tmp_path: Path
):
    answers.answers = [Answer(200, b"<html>come back later</html>")]
    with pytest.raises(fetch_ca_bundle.StepFailedError, match="not a bundle of PEM certificates"):
        fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", trusting)
    assert not (tmp_path / "bundle.pem").exists()


def test_a_redirect_out_of_tls_is_refused(
    answers: _TrustStore, trust_store: FakeServer, trusting: ssl.SSLContext, tmp_path: Path
):
    with serving(lambda _: Answer(200, b"anything")) as plain:
        answers.answers = [Answer(302, headers={"Location": f"{plain.url}/bundle.pem"})]
        with pytest.raises(fetch_ca_bundle.StepFailedError, match="which is not verified"):
            fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", trusting)


def test_a_reboot_needs_no_network(
    files: Certificates, trust_store: FakeServer, trusting: ssl.SSLContext, tmp_path: Path
):
    (tmp_path / "bundle.pem").write_bytes(files.authority.read_bytes())
    assert "were here already" in fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", trusting)
    assert trust_store.requests == []


def test_half_a_bundle_is_fetched_again(trust_store: FakeServer, trusting: ssl.SSLContext, tmp_path: Path):
    (tmp_path / "bundle.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    fetch_ca_bundle.fetch(trust_store.url, tmp_path / "bundle.pem", trusting)
    assert len(trust_store.requests) == 1
