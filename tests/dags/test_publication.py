from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_node import dag_release
from botocore.exceptions import ClientError

from components.buckets import publisher_policy
from dags.archive import packed_folder
from dags.bucket import ReleaseBucket, StoredPointer
from dags.faults import DagsError
from dags.publication import publish, rollback
from lab.aws.policy import Request, is_allowed
from tests.dags.conftest import BUCKET, MakeFolder


def _publish(bucket: ReleaseBucket, folder: Path, by: str = "ann", **known: Any) -> dag_release.Publication:
    with packed_folder(folder) as archive:
        return publish(bucket, archive, by=by, **known)


def _current(bucket: ReleaseBucket) -> dag_release.Pointer:
    pointer = bucket.read_pointer().pointer
    assert pointer is not None
    return pointer


def _keys(s3: Any) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def _refuse(s3: Any, key: str, code: str, *, once: bool = True, stored: bool = False) -> list[str]:
    """Let S3 answer writes of this key with an error; with `stored`, the object is written nevertheless."""
    send, refused = s3.put_object, list[str]()

    def put(**request: Any) -> Any:
        if request["Key"] != key or (once and refused):
            return send(**request)
        refused.append(request["Key"])
        if stored:
            send(**request)
        raise ClientError({"Error": {"Code": code, "Message": "said S3"}}, "PutObject")

    s3.put_object = put
    return refused


def test_a_node_finds_what_was_published(bucket: ReleaseBucket, make_folder: MakeFolder, tmp_path: Path, s3: Any):
    published = _publish(bucket, make_folder(files={"sql/a.sql": "select"}))
    pointer = dag_release.Pointer.from_json(
        s3.get_object(Bucket=BUCKET, Key=dag_release.pointer_key("dags"))["Body"].read()
    )
    assert pointer.current == published
    archive = s3.get_object(Bucket=BUCKET, Key=dag_release.archive_key("dags", pointer.current.version))["Body"]
    dag_release.unpack(archive, tmp_path / "node", pointer.current.version)
    assert (tmp_path / "node/sql/a.sql").read_text() == "select"


def test_the_pointer_is_written_last(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    written, send = list[str](), s3.put_object
    s3.put_object = lambda **request: (written.append(request["Key"]), send(**request))
    version = _publish(bucket, make_folder()).version
    assert written == [
        dag_release.archive_key("dags", version),
        dag_release.manifest_key("dags", version),
        dag_release.pointer_key("dags"),
    ]


@pytest.mark.parametrize("key", ["archive", "manifest", "pointer"])
def test_a_publisher_that_stops_at_any_step_leaves_the_old_release_and_can_be_repeated(
    bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any, key: str
):
    old = _publish(bucket, make_folder("old")).version
    folder = make_folder("new", {"b.py": ""})
    with packed_folder(folder) as archive:
        keys = {
            "archive": dag_release.archive_key("dags", archive.version),
            "manifest": dag_release.manifest_key("dags", archive.version),
            "pointer": dag_release.pointer_key("dags"),
        }
    _refuse(s3, keys[key], "InternalError")
    with pytest.raises(DagsError, match=r"AWS refused PutObject on s3://.*/dags: InternalError: said S3"):
        _publish(bucket, folder)
    assert _current(bucket).current.version == old
    assert _publish(bucket, folder).sequence == 2
    assert set(keys.values()) <= set(_keys(s3))


def test_of_two_publishers_at_once_the_loser_is_told_and_nothing_is_lost(
    bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any
):
    base = bucket.read_pointer()
    first = _publish(bucket, make_folder("ann"), by="arn:ann")
    with packed_folder(make_folder("ben", {"ben.py": ""})) as archive:
        with pytest.raises(DagsError) as error:
            publish(bucket, archive, by="arn:ben", base=base)
        assert str(error.value).startswith(
            f"Not published: meanwhile arn:ann has published release {first.version[:12]}"
        )
        assert f"diff current {archive.version[:12]}" in str(error.value)
        assert _current(bucket).current == first
        assert dag_release.archive_key("dags", archive.version) in _keys(s3), "the loser's work is there"
        publish(bucket, archive, by="arn:ben")
    assert [each.by for each in (_current(bucket).current, *_current(bucket).history)] == ["arn:ben", "arn:ann"]


def test_a_publisher_that_knew_another_release_loses_too(bucket: ReleaseBucket, make_folder: MakeFolder):
    _publish(bucket, make_folder("one"))
    base = bucket.read_pointer()
    _publish(bucket, make_folder("two", {"2": ""}))
    with pytest.raises(DagsError, match="Not published: meanwhile"):
        _publish(bucket, make_folder("three", {"3": ""}), base=base)


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"])
def test_each_of_s3s_ways_to_refuse_a_condition_is_a_lost_race(
    bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any, code: str
):
    _publish(bucket, make_folder("one"))
    _refuse(s3, dag_release.pointer_key("dags"), code)
    with pytest.raises(DagsError, match="Not published: meanwhile"):
        _publish(bucket, make_folder("two", {"2": ""}))


def test_a_pointer_that_was_deleted_is_told(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    _publish(bucket, make_folder("one"))
    base = bucket.read_pointer()
    s3.delete_object(Bucket=BUCKET, Key=dag_release.pointer_key("dags"))
    with pytest.raises(DagsError, match="somebody has removed the pointer"):
        _publish(bucket, make_folder("two", {"2": ""}), base=base)


def test_a_publisher_whose_own_write_was_repeated_has_won(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    """The response to the first request is lost; the SDK repeats it, and the condition does not hold any more."""
    refused = _refuse(s3, dag_release.pointer_key("dags"), "PreconditionFailed", stored=True)
    published = _publish(bucket, make_folder())
    assert refused
    assert _current(bucket).current == published


def test_the_same_archive_may_be_uploaded_by_two_at_once(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    folder = make_folder()
    with packed_folder(folder) as archive:
        refused = _refuse(s3, dag_release.archive_key("dags", archive.version), "PreconditionFailed", stored=True)
    assert _publish(bucket, folder).version == archive.version
    assert refused


def test_a_conflict_without_an_archive_is_no_success(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    folder = make_folder()
    with packed_folder(folder) as archive:
        _refuse(s3, dag_release.archive_key("dags", archive.version), "ConditionalRequestConflict")
    with pytest.raises(DagsError, match="is being written by another publisher: repeat the command"):
        _publish(bucket, folder)


def test_the_current_release_is_not_published_again(
    bucket: ReleaseBucket, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    first = _publish(bucket, make_folder("one"))
    assert _publish(bucket, make_folder("same"), by="ben") == first
    assert "is already the current one" in capsys.readouterr().err
    assert _current(bucket).history == ()


def test_an_archive_that_is_there_is_not_uploaded_again(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    first = make_folder("one")
    _publish(bucket, first)
    _publish(bucket, make_folder("two", {"2": ""}))
    before = s3.head_object(Bucket=BUCKET, Key=dag_release.archive_key("dags", _current(bucket).history[0].version))
    assert _publish(bucket, first).sequence == 3
    after = s3.head_object(Bucket=BUCKET, Key=dag_release.archive_key("dags", _current(bucket).current.version))
    assert after["LastModified"] == before["LastModified"]


def test_a_later_check_is_added_to_the_manifest_and_the_rest_stays(bucket: ReleaseBucket, make_folder: MakeFolder):
    version = _publish(bucket, make_folder(), by="ann").version
    first = bucket.described(version)
    assert first.lock is None
    _publish(bucket, make_folder(), by="ben", lock="ab" * 32)
    checked = bucket.described(version)
    assert (checked.lock, checked.by, checked.created) == ("ab" * 32, "ann", first.created)
    _publish(bucket, make_folder(), by="ben")
    assert bucket.described(version) == checked, "a release that is published again unchecked has still been checked"


def test_what_a_publication_changes_is_said(
    bucket: ReleaseBucket, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
):
    first = _publish(bucket, make_folder("one", {"a": "1", "b": "1"}))
    _publish(bucket, make_folder("two", {"a": "2", "c": "1", "d": "1"}))
    assert f"compared with {first.version[:12]}: 2 added, 1 changed, 1 removed" in capsys.readouterr().err


def test_bundles_in_one_bucket_do_not_touch_each_other(s3: Any, make_folder: MakeFolder):
    team, other = ReleaseBucket(s3, BUCKET, "team"), ReleaseBucket(s3, BUCKET, "other")
    published = _publish(team, make_folder())
    assert other.read_pointer() == StoredPointer(pointer=None, etag=None)
    assert list(other.releases()) == []
    assert _current(team).current == published


@pytest.mark.parametrize("name", ["", "Team", "a/b", "../a", "-a", "a" * 64, "a.b"])
def test_a_bundle_that_cannot_be_a_prefix_is_refused(s3: Any, name: str):
    with pytest.raises(DagsError, match="cannot be the name of a bundle: use 1 to 63 lower-case letters"):
        ReleaseBucket(s3, BUCKET, name)


@pytest.fixture
def three(bucket: ReleaseBucket, make_folder: MakeFolder) -> list[str]:
    """Three releases, the oldest first."""
    return [_publish(bucket, make_folder(f"v{number}", {"v": str(number)})).version for number in range(3)]


Name = Callable[[list[str]], str]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(lambda _: "previous", 1, id="previous"),
        pytest.param(lambda versions: versions[0], 0, id="version"),
        pytest.param(lambda versions: versions[0][:6], 0, id="beginning"),
    ],
)
def test_a_rollback_makes_an_older_release_current_and_is_a_publication_itself(
    bucket: ReleaseBucket, three: list[str], name: Name, expected: int
):
    assert rollback(bucket, name(three), by="ben").sequence == 4
    pointer = _current(bucket)
    assert (pointer.current.version, pointer.current.by) == (three[expected], "ben")
    assert [each.version for each in pointer.history] == three[::-1]


def test_a_second_rollback_returns_to_where_the_first_started(bucket: ReleaseBucket, three: list[str]):
    rollback(bucket, "previous", by="ben")
    assert rollback(bucket, "previous", by="ben").version == three[2]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("abc", "names no release: use `current`, `previous`, or at least 6 characters"),
        ("latest-one", "names no release"),
        ("0" * 6, "No release in s3://"),
        ("0" * 64, "The archive of release 000000000000 is not in s3://"),
    ],
)
def test_a_rollback_to_what_is_not_there_changes_nothing(bucket: ReleaseBucket, three: list[str], name: str, said: str):
    with pytest.raises(DagsError, match=said):
        rollback(bucket, name, by="ben")
    assert _current(bucket).current.version == three[2]


def test_a_beginning_that_several_releases_share_is_refused(bucket: ReleaseBucket, s3: Any):
    for last in "ab":
        s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key("dags", "c" * 63 + last), Body=b"")
    with pytest.raises(DagsError, match=r"2 releases in s3://.* start with cccccc"):
        bucket.resolve("cccccc")


def test_a_rollback_needs_an_older_release(bucket: ReleaseBucket, make_folder: MakeFolder):
    with pytest.raises(DagsError, match="has no current release: nothing has been published yet"):
        rollback(bucket, "previous", by="ben")
    _publish(bucket, make_folder())
    with pytest.raises(DagsError, match="has no release before the current one"):
        rollback(bucket, "previous", by="ben")


def test_a_bucket_that_is_not_there_is_told(s3: Any):
    with pytest.raises(DagsError, match=r"The bucket gone does not exist: check --stack or --bucket"):
        ReleaseBucket(s3, "gone", "dags").read_pointer()


def test_a_denied_request_names_the_policy_that_is_missing(bucket: ReleaseBucket, s3: Any):
    def denied(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, "ListObjectsV2")

    s3.list_objects_v2 = denied
    with pytest.raises(DagsError, match=r"AWS denied ListObjectsV2 on s3://.*publisher policy of this bundle"):
        bucket.read_pointer()


@pytest.mark.parametrize("text", [b"<html>", b'{"format": 9}'])
def test_a_pointer_that_cannot_be_read_is_not_replaced(
    bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any, text: bytes
):
    s3.put_object(Bucket=BUCKET, Key=dag_release.pointer_key("dags"), Body=io.BytesIO(text))
    with pytest.raises(DagsError, match=r"s3://.*/dags: the pointer"):
        _publish(bucket, make_folder())
    assert s3.get_object(Bucket=BUCKET, Key=dag_release.pointer_key("dags"))["Body"].read() == text


def _enforce(s3: Any, bundle: str) -> set[str]:
    """Let S3 refuse what the publisher policy of this bundle does not allow; returns the actions that were used."""
    policy, used = json.loads(publisher_policy(BUCKET, bundle)), set[str]()

    def check(model: Any, params: Any, **_: Any) -> None:
        query, path = params["query_string"], params["url_path"]
        key = path.split("?")[0].removeprefix(f"/{BUCKET}").removeprefix("/")
        action = {"ListObjectsV2": "s3:ListBucket"}.get(model.name, f"s3:{model.name}")
        used.add(action)
        request = Request(
            action=action,
            resource=f"arn:aws:s3:::{BUCKET}/{key}" if key else f"arn:aws:s3:::{BUCKET}",
            principal="arn:aws:iam::123456789012:user/publisher",
            context={"s3:prefix": query["prefix"]} if "prefix" in query else {},
        )
        if not is_allowed(request, [policy]):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": str(request)}}, model.name)

    s3.meta.events.register("before-call.s3", check)
    return used


def test_the_publisher_policy_allows_all_that_a_publisher_does(bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any):
    used = _enforce(s3, "dags")
    first = _publish(bucket, make_folder("one"))
    _publish(bucket, make_folder("two", {"2": ""}))
    rollback(bucket, "previous", by="ann")
    assert {release.version for release in bucket.releases()} > {first.version}
    assert bucket.open_archive(first.version).read()
    assert used == {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}


def test_the_publisher_policy_of_another_bundle_allows_nothing_of_it(
    bucket: ReleaseBucket, make_folder: MakeFolder, s3: Any
):
    version = _publish(bucket, make_folder()).version
    _enforce(s3, "dag")
    attempts = [
        lambda: s3.put_object(Bucket=BUCKET, Key=dag_release.pointer_key("dags"), Body=b""),
        lambda: s3.put_object(Bucket=BUCKET, Key=dag_release.archive_key("dags", version), Body=b""),
        lambda: s3.get_object(Bucket=BUCKET, Key=dag_release.archive_key("dags", version)),
        lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="dags/"),
        lambda: s3.list_objects_v2(Bucket=BUCKET),
        lambda: s3.delete_object(Bucket=BUCKET, Key="dag/current.json"),
        lambda: s3.put_object(Bucket=BUCKET, Key="dag/other", Body=b""),
    ]
    for attempt in attempts:
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
