from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.node.programs import module

release = module("airflow_node.dag_release")
V1, V2 = "1" * 64, "2" * 64
NOON = "2026-11-27T12:00:00Z"


def _member(name: str, content: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return member, content


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for member, content in members:
            made.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _unpack(tar: bytes, target: Path, *, packed: bytes | None = None, version: str | None = None) -> None:
    archive = io.BytesIO(zstandard.compress(tar) if packed is None else packed)
    release.unpack(archive, target, version or hashlib.sha256(tar).hexdigest())


def _publication(sequence: int, version: str = V1) -> release.Publication:
    return release.Publication(version=version, sequence=sequence, published=NOON, by="ann")


def test_files_are_unpacked_with_their_directories(tmp_path: Path):
    long_name = "ö" * 120 + ".py"
    _unpack(_tar(_member("a.py", b"a"), _member(f"team/sub/{long_name}", b"b")), tmp_path / "new/target")
    assert (tmp_path / "new/target/a.py").read_bytes() == b"a"
    assert (tmp_path / "new/target/team/sub" / long_name).read_bytes() == b"b"


def test_tasks_cannot_write_to_files_and_their_owner_can_remove_the_directories(tmp_path: Path):
    umask = os.umask(0o077)
    try:
        _unpack(_tar(_member("sub/a.py", b"a"), _member("sub/run", b"b", mode=0o755)), tmp_path / "target")
    finally:
        os.umask(umask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "target").rglob("*")}
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o755
    assert modes == {"sub": 0o755, "a.py": 0o444, "run": 0o555}


def test_a_file_has_the_time_at_which_it_was_unpacked(tmp_path: Path):
    """The DAG processor parses files again that are newer than its last pass."""
    _unpack(_tar(_member("a.py", b"a", mtime=0)), tmp_path / "target")
    assert (tmp_path / "target/a.py").stat().st_mtime > 1_700_000_000


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([_member("/etc/passwd")], id="an absolute path"),
        pytest.param([_member("../a.py")], id="a path that leaves"),
        pytest.param([_member("a/../../a.py")], id="a path that leaves later"),
        pytest.param([_member("a//b.py")], id="an empty name"),
        pytest.param([_member("./a.py")], id="a second spelling"),
        pytest.param([_member("a.py", type=tarfile.SYMTYPE, linkname="/etc/passwd")], id="a symbolic link"),
        pytest.param([_member("b"), _member("a", type=tarfile.LNKTYPE, linkname="b")], id="a hard link"),
        pytest.param([_member("a", type=tarfile.FIFOTYPE)], id="a pipe"),
        pytest.param([_member("a", type=tarfile.CHRTYPE)], id="a device"),
        pytest.param([_member("a", type=tarfile.DIRTYPE)], id="a directory"),
        pytest.param([_member("a.py"), _member("a.py")], id="a path twice"),
        pytest.param([_member("a"), _member("a/b")], id="a file as a directory"),
        pytest.param([_member("a/b"), _member("a")], id="a directory as a file"),
    ],
)
def test_an_archive_with_anything_but_files_below_its_folder_is_broken(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
):
    with pytest.raises(release.BrokenReleaseError, match="the archive contains "):
        _unpack(_tar(*members), tmp_path / "target")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"], "nothing is written elsewhere"


def test_an_archive_of_another_version_is_broken(tmp_path: Path):
    with pytest.raises(release.BrokenReleaseError, match="the archive of release 111111111111 has the content of"):
        _unpack(_tar(_member("a.py", b"a")), tmp_path / "target", version=V1)


def test_a_hash_covers_what_follows_the_last_file(tmp_path: Path):
    tar = _tar(_member("a.py", b"a"))
    with pytest.raises(release.BrokenReleaseError, match="has the content of"):
        _unpack(tar, tmp_path / "target", packed=zstandard.compress(tar + bytes(512)))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_half_a_download_is_broken(tmp_path: Path, share: float):
    tar = _tar(*(_member(f"{number}.py", os.urandom(1000)) for number in range(50)))
    packed = zstandard.compress(tar)
    with pytest.raises(release.BrokenReleaseError):
        _unpack(tar, tmp_path / "target", packed=packed[: int(len(packed) * share)])


@pytest.mark.parametrize("packed", [b"<html>", zstandard.compress(b"no tar " * 1000)])
def test_what_is_no_archive_is_broken(tmp_path: Path, packed: bytes):
    with pytest.raises(release.BrokenReleaseError, match="cannot be unpacked"):
        _unpack(_tar(), tmp_path / "target", packed=packed)


def test_an_archive_that_never_ends_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(release, "MAX_BYTES", 1_000_000)
    with pytest.raises(release.BrokenReleaseError, match="larger than 1,000,000 bytes"):
        _unpack(_tar(_member("zeros", bytes(50_000_000))), tmp_path / "target")
    assert sum(path.stat().st_size for path in (tmp_path / "target").iterdir()) <= 1_000_000


def test_an_archive_of_countless_files_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(release, "MAX_FILES", 3)
    with pytest.raises(release.BrokenReleaseError, match="more than 3 files"):
        _unpack(_tar(*(_member(str(number)) for number in range(5))), tmp_path / "target")


def test_an_error_of_the_network_says_nothing_about_the_release(tmp_path: Path):
    class Lost(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise ConnectionResetError("peer")

    with pytest.raises(ConnectionResetError):
        release.unpack(Lost(), tmp_path / "target", V1)


def test_a_pointer_survives_the_bucket():
    pointer = release.Pointer(current=_publication(2, V2), history=(_publication(1),))
    assert release.Pointer.from_json(pointer.to_json()) == pointer


def test_a_pointer_remembers_the_newest_releases_before_it_and_stays_small():
    pointer = release.Pointer(current=release.Publication(version=V1, sequence=1, published=NOON, by="a" * 200))
    for sequence in range(2, 100):
        pointer = pointer.followed_by(release.Publication(version=V2, sequence=sequence, published=NOON, by="arn" * 70))
    assert [publication.sequence for publication in pointer.history] == list(range(98, 48, -1))
    assert len(pointer.to_json()) < release.MAX_POINTER_BYTES


def test_a_pointer_of_a_later_release_may_have_more_fields():
    fields = json.loads(release.Pointer(current=_publication(1)).to_json())
    pointer = release.Pointer.from_json(json.dumps({**fields, "signature": "x"}).encode())
    assert pointer.current == _publication(1)


def test_a_pointer_of_an_unknown_format_is_told_apart_from_a_broken_one():
    text = json.dumps({"format": release.FORMAT + 1, "versions": {}}).encode()
    with pytest.raises(release.UnknownFormatError, match="has format 2; known is 1"):
        release.Pointer.from_json(text)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "../../etc"},
        {"version": None},
        {"sequence": "1"},
        {"history": [{"version": V1}]},
        {"history": 1},
        {"format": "1"},
    ],
)
def test_what_is_no_pointer_is_refused(change: dict[str, object]):
    fields = {**json.loads(release.Pointer(current=_publication(1)).to_json()), **change}
    with pytest.raises(release.BrokenReleaseError, match="the pointer cannot be read"):
        release.Pointer.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b"\xff"])
def test_what_is_no_json_object_is_no_pointer(text: bytes):
    with pytest.raises(release.BrokenReleaseError, match="the pointer cannot be read"):
        release.Pointer.from_json(text)


def test_a_manifest_survives_the_bucket():
    files = (release.ReleaseFile(path="a.py", size=1, sha256=V2, executable=True),)
    manifest = release.Manifest(version=V1, size=10_240, created=NOON, by="ann", files=files, lock=V2)
    assert release.Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("text", [b"{}", b'{"format": 1, "files": [1]}', b'{"format": 1, "files": []}'])
def test_what_is_no_manifest_is_refused(text: bytes):
    with pytest.raises(release.BrokenReleaseError, match="the manifest cannot be read"):
        release.Manifest.from_json(text)
