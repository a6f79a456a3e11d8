"""The cache of the images."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from lab import host, image
from lab.image import Image

OLD, NEW = Image(name="node", packages=("less",)), Image(name="node", packages=("less", "curl"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a build that takes no time."""
    monkeypatch.setattr(host, "CACHE", tmp_path)
    monkeypatch.setattr(image, "_mmdebstrap", lambda _, root, __: root.mkdir())
    monkeypatch.setattr(image, "_mirror", lambda: "http://debian.example")
    monkeypatch.setattr(image, "_apt_settings", list)
    return tmp_path


def test_a_new_image_replaces_the_older_one():
    image.build(OLD)
    image.build(NEW)
    assert NEW.path.is_dir()
    assert not OLD.path.exists()


def test_an_older_image_stays_while_another_lab_uses_it():
    held = image.hold(OLD)
    image.build(NEW)
    assert OLD.path.is_dir()
    os.close(held)
    NEW.path.rmdir()
    image.build(NEW)
    assert not OLD.path.exists()


def test_no_other_lab_can_remove_an_image_before_it_is_held(cache: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[bool] = []
    open_ = os.open

    def observed(path: Path, flags: int) -> int:
        opened.append(_is_locked(cache / "lock"))
        return open_(path, flags)

    monkeypatch.setattr(image.os, "open", observed)
    os.close(image.hold(NEW))
    assert opened == [True]


def _is_locked(path: Path) -> bool:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
