"""The documentation's links, index, and the files and commands that it names."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.secrets import DESCRIPTIONS

ROOT = Path(__file__).parents[1]


def repository_files(*patterns: str) -> list[Path]:
    """The repository's files, new ones included, relative to its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in listed if (ROOT / name).exists()]


PAGES = sorted(ROOT / path for path in repository_files("*.md"))
FILES = repository_files()
PARTS = {path.parts[0] for path in FILES if len(path.parts) > 1}
FILE_NAMES = {path.name for path in FILES}
EXAMPLES = {"hello.py", "my_dag.py"}
"""Files that readers of the documentation create."""
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The path and the anchor of each link to something in this repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith(("https://", "http://")):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_link_has_a_target(page: Path):
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{path} does not exist"
        assert not anchor or anchor in anchors(target), f"{path} has no heading #{anchor}"


def test_every_page_of_the_documentation_is_in_its_index():
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / path).resolve() for path, _ in links(index)}
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {index} <= listed


def code_spans(page: Path) -> set[str]:
    """The words between backticks in the running text."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


def is_in_repository(path: str) -> bool:
    """Whether a file or folder has this path; `*` and `<...>` stand for any name."""
    pattern = re.sub(r"<[^>]+>", "*", path.rstrip("/"))
    return any(ROOT.glob(pattern))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_a_page_names_exist(page: Path):
    spans = code_spans(page)
    paths = {span for span in spans if re.fullmatch(r"[\w.*<>-]+/[\w.*<>/-]*", span) and span.split("/")[0] in PARTS}
    modules = {span for span in spans if re.fullmatch(r"\w+\.py", span)}
    assert [path for path in sorted(paths) if not is_in_repository(path)] == []
    assert sorted(modules - FILE_NAMES - EXAMPLES) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_that_a_page_names_exist(page: Path):
    named = re.findall(r"(?:`|^    )make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    assert sorted(set(named) - TARGETS) == []


def test_the_effect_of_changing_each_secret_is_described():
    page = (ROOT / "docs" / "changing-a-secret.md").read_text()
    assert [key for key in DESCRIPTIONS if f"\n| `{key}` |" not in page] == []
