from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.node.fake_server import serving
from tests.node.package_indexes import PASSWORD, USERNAME, serving_packages
from tests.node.programs import module

package_index = module("airflow_node.package_index")


@pytest.mark.parametrize("program", ["pip", "uv pip"])
def test_uv_and_pip_install_from_the_index_with_a_password_of_any_characters(tmp_path: Path, program: str):
    credentials = package_index.Credentials(username=USERNAME, password=PASSWORD)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    with serving(serving_packages({"ours": "1.0"}, private=True)) as server:
        index = package_index.variables(f"{server.url}/simple/", pypi=False, credentials=credentials)
        # The index of the tests has no certificate.
        environment = kept | index | {"PIP_CONFIG_FILE": os.devnull, "UV_CACHE_DIR": str(tmp_path / "cache")}
        command = ["-m", *program.split(), "install", "--quiet", "--target", str(tmp_path / "site"), "ours"]
        subprocess.run([sys.executable, *command], check=True, env=environment, timeout=120)
    assert (tmp_path / "site/ours.py").exists()


def test_with_pypi_pip_gets_no_variables_because_pypi_has_uv():
    found = package_index.variables("https://packages.example.com/simple/", pypi=True, credentials=None)
    assert found == {"UV_INDEX": "private=https://packages.example.com/simple/"}
