"""What only the lab adds to a node."""

from __future__ import annotations

from lab.infrastructure import LAYER
from lab.servers.server import REPOSITORY

FILES = sorted(path for path in LAYER.rglob("*") if path.is_file())


def test_every_file_is_listed_with_its_reason():
    assert FILES
    readme = (REPOSITORY / "lab" / "README.md").read_text()
    assert [file.name for file in FILES if f"| `{file.relative_to(LAYER)}` |" not in readme] == []


def test_the_layer_stays_small():
    assert len(FILES) <= 6, "each file here is something that the lab cannot prove"
    assert sum(file.stat().st_size for file in FILES) < 4096


def test_the_layer_has_nothing_of_the_program():
    assert [file for file in FILES if "airflow" in str(file.relative_to(LAYER))] == []
