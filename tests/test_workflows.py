from __future__ import annotations

import yaml

from tests.stack_file import ROOT


def test_the_preview_comment_contains_no_compressed_user_data():
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())["jobs"]
    [preview] = [
        step["with"] for step in jobs["preview"]["steps"] if step.get("uses", "").startswith("pulumi/actions@")
    ]
    assert preview["comment-on-pr"]
    assert "diff" not in preview, "a diff prints every property in full"
