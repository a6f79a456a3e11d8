from __future__ import annotations

import ast
import re

import pytest

from node.roles import Role
from node.rootfs import PROGRAMS, ROOTFS, NodeFile, files_for

FILES = sorted({file for role in Role for file in files_for(role)}, key=lambda file: file.path)
IN_USER_DATA = [file for file in FILES if file.in_user_data]


def _source(file: NodeFile) -> str:
    layers = {layer for role in Role for layer in role.definition.layers}
    texts = {path.read_text() for layer in layers if (path := ROOTFS / layer / file.path.lstrip("/")).exists()}
    return next(text for text in texts if _lines(text) == _lines(file.content.decode()))


def _lines(text: str) -> list[str]:
    """The lines of a unit or another settings file that have a meaning."""
    return [line for line in text.splitlines() if not line.lstrip().startswith("#") or line.startswith("#!")]


@pytest.mark.parametrize("file", IN_USER_DATA, ids=lambda file: file.path)
def test_files_in_the_user_data_mean_the_same_without_comments(file: NodeFile):
    source, content = _source(file), file.content.decode()
    assert _lines(content) == content.splitlines(), "comments take the space of the users' options"
    if source.startswith("#!") or file.path.endswith(".py"):
        assert ast.dump(ast.parse(content)) == ast.dump(ast.parse(source))


def test_the_other_programs_keep_their_comments():
    others = [file for file in FILES if not file.in_user_data]
    assert any(b"\n# " in file.content for file in others)


def _places(file: NodeFile) -> set[str]:
    """The hosts that a program names in its code, not in its comments and docstrings."""
    tree = ast.parse(file.content)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]
    return {place for text in texts for place in re.findall(r"\w+://([\w.-]+)", text)}


def test_a_boot_needs_no_host_on_the_internet_except_aws():
    """Host names of AWS services are built from the region. Packages of the lock come from package indexes."""
    programs = [file for file in FILES if file.path.startswith(f"{PROGRAMS}/") and b"python" in file.content[:40]]
    programs += [file for file in FILES if file.path.endswith(".py")]
    assert len(programs) > 30
    assert {place for file in programs for place in _places(file)} <= {"169.254.169.254", "127.0.0.1", "localhost"}
