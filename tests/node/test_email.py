"""What docs/connections-and-variables.md says about e-mail, done with the nodes' Airflow and a mail server with TLS."""

from __future__ import annotations

import base64
import email.policy
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, cast

import pytest

from tests.node import certificates
from tests.node.programs import python_path
from tests.stack_file import ROOT

GUIDE = (ROOT / "docs/connections-and-variables.md").read_text().partition("## E-mail")[2].partition("\n## ")[0]
SEND = """
import sys

names = {}
exec(sys.argv[1], names)
dag = names["report"]()
dag.get_task("mail").execute({})
[notify] = dag.on_failure_callback if isinstance(dag.on_failure_callback, list) else [dag.on_failure_callback]
notify({"dag": dag})
"""


def _block(language: str) -> str:
    """The guide's only example in this language."""
    [found] = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


class MailServer(ThreadingTCPServer):
    """Takes mails from one user, after STARTTLS (RFC 3207) and AUTH (RFC 4954)."""

    daemon_threads = True

    def __init__(self, files: certificates.Certificates, login: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(files.certificate, files.key)
        self.credentials = base64.b64encode(f"\0{login}\0{password}".encode())
        self.mails = list[EmailMessage]()


class _Session(StreamRequestHandler):
    def handle(self) -> None:
        server = cast("MailServer", self.server)
        encrypted = trusted = False
        self._say("220 mail server")
        while command := self.rfile.readline().strip():
            match command.split()[0].upper():
                case b"EHLO":
                    self._say("250-mail server", "250 AUTH PLAIN" if encrypted else "250 STARTTLS")
                case b"STARTTLS":
                    self._say("220 go ahead")
                    self.request = server.tls.wrap_socket(self.request, server_side=True)
                    self.setup()
                    encrypted = True
                case b"AUTH" if encrypted:
                    trusted = command == b"AUTH PLAIN " + server.credentials
                    self._say("235 welcome" if trusted else "535 wrong credentials")
                case b"MAIL" | b"RCPT" if trusted:
                    self._say("250 fine")
                case b"DATA" if trusted:
                    self._say("354 end with a dot")
                    lines = iter(self.rfile.readline, b".\r\n")
                    mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                    server.mails.append(mail)
                    self._say("250 taken")
                case b"QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("503 not now")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@pytest.fixture
def files(tmp_path: Path) -> certificates.Certificates:
    return certificates.make(tmp_path / "tls")


@pytest.fixture
def server(files: certificates.Certificates) -> Iterator[MailServer]:
    with MailServer(files, "airflow", "pa55-word") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _send(python: Path, server: MailServer, home: Path, authority: Path | None) -> subprocess.CompletedProcess[str]:
    """Run the guide's example as a task and as a callback, with the guide's connection to this server."""
    host, port = server.server_address[:2]
    connection: dict[str, Any] = json.loads(_block("json"))
    assert connection["port"] == 587, "the port for STARTTLS"
    connection |= {"host": host, "port": port, "login": "airflow", "password": "pa55-word"}
    environment = {"PYTHONPATH": python_path(), "AIRFLOW_HOME": str(home), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    environment |= {"AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(connection)}
    environment |= {"SSL_CERT_FILE": str(authority)} if authority else {}
    command = [python, "-c", SEND, _block("python")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _text(mail: EmailMessage) -> str:
    return "".join(part.get_content() for part in mail.walk() if not part.is_multipart())


def test_the_guides_example_sends_a_mail_as_a_task_and_one_when_the_run_fails(
    nodes_python: Path, server: MailServer, files: certificates.Certificates, tmp_path: Path
):
    done = _send(nodes_python, server, tmp_path, files.authority)
    assert done.returncode == 0, done.stderr
    mails = [(mail["From"], mail["To"], mail["Subject"], _text(mail)) for mail in server.mails]
    assert mails == [
        ("airflow@example.com", "team@example.com", "Sales", "<b>up</b>"),
        ("airflow@example.com", "oncall@example.com", "report failed", "See its log."),
    ]


def test_no_mail_and_no_password_goes_to_a_server_with_a_certificate_of_somebody_else(
    nodes_python: Path, server: MailServer, tmp_path: Path
):
    done = _send(nodes_python, server, tmp_path, None)
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert not server.mails
