from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.node.fake_server import Answer, FakeServer, Request, serving
from tests.node.programs import module

aws_request = module("airflow_node.aws_request")
metadata_service = module("airflow_node.metadata_service")
NOW = datetime(2026, 11, 21, 7, 30, 5, tzinfo=UTC)
KEYS = metadata_service.Credentials(key="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG", token="token/with+signs==")
REQUESTS = [
    aws_request.Request(service="s3", url="https://bucket.s3.eu-west-1.amazonaws.com/environments/0a-b_c.json"),
    aws_request.Request(
        service="s3",
        url="https://bucket.s3.eu-west-1.amazonaws.com/environments/0a.tar",
        method="PUT",
        headers={"Content-Type": "application/x-tar", "Content-Encoding": "zstd", "If-None-Match": "*"},
        body=b"\0\1\2",
    ),
    aws_request.Request(
        service="autoscaling",
        url="https://autoscaling.eu-west-1.amazonaws.com/",
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        body=b"Action=SetInstanceHealth",
    ),
]


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def _signature_of_the_sdk(request: aws_request.Request, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW.replace(tzinfo=None))
    signer = S3SigV4Auth if request.service == "s3" else SigV4Auth
    asked = AWSRequest(method=request.method, url=request.url, data=request.body, headers=dict(request.headers))
    if request.service != "s3":
        asked.headers["X-Amz-Content-SHA256"] = aws_request.hashlib.sha256(request.body).hexdigest()
    signer(Credentials(KEYS.key, KEYS.secret, KEYS.token), request.service, "eu-west-1").add_auth(asked)
    return asked.headers["Authorization"]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request.method} {request.service}")
def test_a_request_is_signed_as_the_sdk_signs_it(request_: aws_request.Request, monkeypatch: pytest.MonkeyPatch):
    expected = _signature_of_the_sdk(request_, monkeypatch)
    assert aws_request.signed_headers(request_, KEYS, NOW)["authorization"] == expected


def test_services_answer_where_the_region_has_them():
    assert aws_request.endpoint("autoscaling") == "https://autoscaling.eu-west-1.amazonaws.com"
    assert aws_request.object_url("bucket", "a/b.tar") == "https://bucket.s3.eu-west-1.amazonaws.com/a/b.tar"


def test_an_object_comes_back_as_it_was_put(aws_over_http: boto3.Session):
    s3 = aws_over_http.client("s3")
    s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws_request.put_object("artifacts", "environments/0a.tar", b"\0\xff", {"Content-Encoding": "zstd"})
    assert aws_request.get_object("artifacts", "environments/0a.tar") == b"\0\xff"
    assert s3.head_object(Bucket="artifacts", Key="environments/0a.tar")["ContentEncoding"] == "zstd"


def test_the_reason_of_a_refusal_is_read_from_xml(aws_over_http: boto3.Session):
    aws_over_http.client("s3").create_bucket(
        Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    with pytest.raises(aws_request.AwsError, match=r"NoSuchKey: .*does not exist") as refusal:
        aws_request.get_object("artifacts", "nothing")
    assert (refusal.value.code, refusal.value.status) == ("NoSuchKey", 404)


def test_the_reason_of_a_refusal_is_read_from_json(aws_over_http: boto3.Session):
    assert aws_over_http.region_name == "eu-west-1"
    request = aws_request.Request(
        service="secretsmanager",
        url=f"{aws_request.endpoint('secretsmanager')}/",
        method="POST",
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue"},
        body=b'{"SecretId": "airflow-prod/nothing"}',
    )
    with pytest.raises(aws_request.AwsError) as refusal:
        aws_request.send(request)
    assert refusal.value.code == "ResourceNotFoundException"


def test_a_response_that_does_not_come_in_time_is_an_error_of_the_network(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata_service, "credentials", lambda *_: KEYS)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            aws_request.send(
                aws_request.Request(service="autoscaling", url=url), aws_request.Timeouts(request=0.2, metadata=0.2)
            )
        assert time.monotonic() - began < 20


@pytest.fixture
def answers() -> list[Answer]:
    """The gateway's responses; the last one is repeated."""
    return [Answer(503, b"<html>busy</html>")]


@pytest.fixture
def gateway(answers: list[Answer], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A gateway that responds instead of AWS."""
    monkeypatch.setattr(metadata_service, "credentials", lambda *_: KEYS)
    with serving(lambda _: answers.pop(0) if len(answers) > 1 else answers[0]) as server:
        monkeypatch.setattr(aws_request, "endpoint", lambda *_: server.url)
        yield server


def _get_with_retries() -> bytes:
    return aws_request.with_retries(lambda: aws_request.get_object("artifacts", "0a"), what="s3://artifacts/0a")


BROKEN_OFF = [
    Answer(200, b"ha", {"Content-Length": "4"}),
    Answer(500, b"<Error>", {"Content-Length": "400"}),
    Answer(200, b"4\r\nha", {"Transfer-Encoding": "chunked"}),
]


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("half", BROKEN_OFF, ids=["an object", "a refusal", "in chunks"])
def test_an_answer_that_breaks_off_is_a_fault_of_the_network_and_asked_for_again(
    answers: list[Answer], half: Answer, waits: list[float], capsys: pytest.CaptureFixture[str]
):
    answers[:] = [half, half, half, Answer(200, b"half", {"Content-Length": "4"})]
    assert _get_with_retries() == b"half"
    assert len(waits) == 3
    assert "s3://artifacts/0a: the response is incomplete: IncompleteRead(" in capsys.readouterr().out


XML = "<Error><Code>{}</Code><Message>words</Message></Error>"
TEN_MINUTES, TWO_MINUTES, NOT_AT_ALL = (599.9, 600.1), (120, 150), (0, 0)


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize(
    ("status", "code", "seconds"),
    [
        (500, "InternalError", TEN_MINUTES),
        (503, "SlowDown", TEN_MINUTES),
        (429, "TooManyRequests", TEN_MINUTES),
        (400, "ThrottlingException", TEN_MINUTES),
        (400, "RequestTimeout", TEN_MINUTES),
        (403, "AccessDenied", TWO_MINUTES),
        (403, "InvalidAccessKeyId", TWO_MINUTES),
        (404, "NoSuchKey", NOT_AT_ALL),
        (404, "NoSuchBucket", NOT_AT_ALL),
    ],
)
def test_a_refusal_is_waited_out_for_as_long_as_it_may_pass(
    answers: list[Answer], status: int, code: str, seconds: tuple[float, float], waits: list[float]
):
    answers[:] = [Answer(status, XML.format(code).encode())]
    with pytest.raises(aws_request.AwsError, match=code):
        _get_with_retries()
    assert seconds[0] <= sum(waits) <= seconds[1]


def test_a_fault_of_the_network_is_waited_out_for_ten_minutes(waits: list[float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metadata_service, "credentials", lambda *_: KEYS)
    monkeypatch.setattr(aws_request, "endpoint", lambda *_: "http://127.0.0.1:1")
    with pytest.raises(OSError, match="Connection refused"):
        _get_with_retries()
    assert sum(waits) == pytest.approx(600)


def test_an_answer_that_is_not_of_aws_has_its_status(gateway: FakeServer):
    with pytest.raises(aws_request.AwsError, match="HTTP status 503") as refusal:
        aws_request.get_object("artifacts", "0a")
    assert refusal.value.status == 503
    assert len(gateway.requests) == 1


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Answer]]:
    """The metadata service, version 2: it requires a token."""
    tree: dict[str, Answer] = {}

    def answer(request: Request) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if (request.method, request.path) == ("PUT", "/latest/api/token"):
            return Answer(200, b"token") if headers["x-aws-ec2-metadata-token-ttl-seconds"] else Answer(400)
        if headers.get("x-aws-ec2-metadata-token") != "token":
            return Answer(401)
        return tree.get(request.path.removeprefix("/latest/meta-data/"), Answer(404))

    with serving(answer) as server:
        monkeypatch.setattr(metadata_service, "SERVICE", server.url)
        yield tree


def _give(metadata: dict[str, Answer], **keys: str) -> None:
    metadata["iam/security-credentials/"] = Answer(200, b"airflow-prod-worker")
    metadata["iam/security-credentials/airflow-prod-worker"] = Answer(200, json.dumps(keys).encode())


def test_the_credentials_are_those_of_the_instances_role(metadata: dict[str, Answer]):
    _give(metadata, Code="Success", AccessKeyId="AKID", SecretAccessKey="secret", Token="token")
    assert metadata_service.credentials() == metadata_service.Credentials(key="AKID", secret="secret", token="token")
    assert "secret" not in repr(metadata_service.credentials()).replace("airflow", "")


def test_a_role_that_gives_no_credentials_yet_is_an_error_that_may_pass(metadata: dict[str, Answer]):
    _give(metadata, Code="AssumeRoleUnauthorizedAccess")
    with pytest.raises(OSError, match="gives no credentials: AssumeRoleUnauthorizedAccess"):
        metadata_service.credentials()


@pytest.mark.parametrize("text", [b'{"Code": "Success", "AccessKeyId": "AK', b'{"Code": "Success"}'])
def test_credentials_that_are_not_whole_are_an_error_that_may_pass(metadata: dict[str, Answer], text: bytes):
    _give(metadata)
    metadata["iam/security-credentials/airflow-prod-worker"] = Answer(200, text)
    with pytest.raises(OSError, match="the credentials of the instance role airflow-prod-worker are incomplete"):
        metadata_service.credentials()


def test_an_instance_of_no_group_has_no_target_state(metadata: dict[str, Answer]):
    assert metadata_service.target_state() == ""
    metadata["autoscaling/target-lifecycle-state"] = Answer(200, b"Terminated")
    assert metadata_service.target_state() == "Terminated"
