"""The documentation's links, index, and the files, commands, outputs and settings that it names."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

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
OUTPUTS = [
    # A part in braces is the name of a worker pool, a bundle or the like.
    re.compile(re.sub(r"\\{.*?\\}", ".+", re.escape(name)))
    for name in re.findall(r'pulumi\.export\(\s*f?"([^"]+)"', (ROOT / "exports.py").read_text())
]
AWS_COMMAND = re.compile(r"\baws ([a-z0-9]+) ((?:wait )?[a-z0-9-]+)((?:(?!\b(?:aws|pulumi) |`).)*)")
"""Service, operation, and what follows up to the next command."""
CLI_OPTIONS = {"region", "query", "output", "max-items"}
"""Options of the AWS CLI itself."""
CLI_NAMES = {
    ("sns", "subscribe"): {"notification-endpoint"},
    ("ec2", "authorize-security-group-ingress"): {"protocol", "port", "cidr", "source-group"},
}
"""Options that the AWS CLI names otherwise than the API."""


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


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_outputs_of_the_stack_that_a_page_names_exist(page: Path):
    named = set(re.findall(r"pulumi stack output\s+([a-zA-Z][\w<>-]*)", page.read_text()))
    assert [name for name in sorted(named) if not any(output.fullmatch(name) for output in OUTPUTS)] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_settings_that_a_page_names_exist(page: Path):
    keys = settings_by_section()
    named = [span.split(".") for span in code_spans(page) if re.fullmatch(r"(?:airflow:)?[a-zA-Z]+\.[a-zA-Z]+", span)]
    sections = [(first.removeprefix("airflow:"), key) for first, key in named]
    assert [f"{section}.{key}" for section, key in sorted(sections) if key not in keys.get(section, {key})] == []


@cache
def settings_by_section() -> dict[str, set[str]]:
    """The keys in the reference of the settings, by section; without those whose keys are names that users choose."""
    _, *parts = re.split(r"^##+ `airflow:([^`]+)`", (ROOT / "docs/settings.md").read_text(), flags=re.MULTILINE)
    found: dict[str, set[str]] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        section, *inner = name.split(".")
        if "<" in name:
            continue
        found.setdefault(section, set()).update(inner or re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_of_the_aws_cli_that_a_page_names_exist_with_their_options(page: Path):
    faults = [
        f"aws {service} {operation}{option}"
        for service, operation, options in aws_commands(page)
        for option in unknown_to_aws(service, operation, options)
    ]
    assert faults == []


def aws_commands(page: Path) -> Iterator[tuple[str, str, set[str]]]:
    """Service, operation and options of each command: in running text between backticks, or on indented lines."""
    text = re.sub(r"\\\n\s+", "", page.read_text())
    inline = [" ".join(span.split()) for span in re.findall(r"`(aws [^`]+)`", text)]
    blocks = re.findall(r"^ {4}.*$", text, re.MULTILINE)
    for line in (*inline, *blocks):
        for service, operation, rest in re.findall(AWS_COMMAND, line):
            yield service, operation, set(re.findall(r"(?<=\s)--([a-z][a-z0-9-]*)", rest))


def unknown_to_aws(service: str, operation: str, options: set[str]) -> list[str]:
    """What the API has no counterpart for: the operation as an empty string, and options."""
    if service == "s3":
        return []  # commands that are made of several calls
    known = cli_options(service).get(operation)
    if known is None:
        return [""]
    known = known | CLI_OPTIONS | CLI_NAMES.get((service, operation), set())
    return [f" --{option}" for option in sorted(options) if option.removeprefix("no-") not in known]


@cache
def cli_options(service: str) -> dict[str, set[str]]:
    """The options of each operation of a service, as the AWS CLI derives them from the API; empty if there is none."""
    session = botocore.session.get_session()
    try:
        model = session.get_service_model(service)
    except UnknownServiceError:
        return {}
    found = {}
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        found[xform_name(name, "-")] = {xform_name(member, "-") for member in shape.members} if shape else set()
    with suppress(UnknownServiceError):  # not every service has waiters
        waiters = session.get_waiter_model(service)
        for name in waiters.waiter_names:
            found[f"wait {xform_name(name, '-')}"] = found[xform_name(waiters.get_waiter(name).operation, "-")]
    return found


def test_the_effect_of_changing_each_secret_is_described():
    page = (ROOT / "docs" / "changing-a-secret.md").read_text()
    assert [key for key in DESCRIPTIONS if f"\n| `{key}` |" not in page] == []
