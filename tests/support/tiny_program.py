"""A Pulumi program of a few lines in its own folder, to run and to compare between revisions."""

from __future__ import annotations

import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

STACK_FILE = """\
    config:
      aws:region: eu-west-1
      aws:allowedAccountIds: ["111122223333"]
      aws:defaultTags: {tags: {Project: tiny}}
"""


@dataclass(frozen=True)
class TinyProgram:
    """The program's folder, with methods to write, commit and run it."""

    root: Path

    def write(self, path: str, content: str) -> TinyProgram:
        """Write one file; the content may be indented like the test that contains it."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(content), encoding="utf-8")
        return self

    def main(self, *lines: str) -> TinyProgram:
        """Write `__main__.py`: the imports that every program needs, then these lines."""
        return self.write("__main__.py", "\n".join(["import pulumi", "import pulumi_aws as aws", *lines]) + "\n")

    def commit(self) -> str:
        """Commit all files to a repository in the folder; returns the commit."""
        if not (self.root / ".git").exists():
            self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", "state")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the folder; returns what it prints."""
        done = subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()


def tiny_program(root: Path, *lines: str) -> TinyProgram:
    """A program with these lines and a stack called `test`."""
    program = TinyProgram(root)
    program.write("Pulumi.yaml", "name: tiny\nruntime: python\n").write("Pulumi.test.yaml", STACK_FILE)
    return program.main(*lines)
