from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from aws_catalog.provider_options import PROVIDER_OPTIONS


def test_the_options_are_those_of_the_installed_provider():
    spec = find_spec("pulumi_aws")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "config" / "vars.py").read_text(encoding="utf-8")
    known = set(re.findall(r"__config__\.get(?:_bool|_int)?\('(\w+)'\)", source))
    assert set(PROVIDER_OPTIONS) == known, "an unknown option may be reported as misspelt"
