from __future__ import annotations

import yaml

from tests.stack_file import ROOT


def test_the_preview_puts_no_packed_user_data_into_its_comment():
    jobs = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())["jobs"]
    [preview] = [
        step["with"] for step in jobs["preview"]["steps"] if step.get("uses", "").startswith("pulumi/actions@")
    ]
    assert preview["comment-on-pr"]
    assert "diff" not in preview, "a diff has every property in full"
