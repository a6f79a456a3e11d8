"""Simulates worker pools, and compares the product's own decisions with the formulas of its peers."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# The simulation calls the code that nodes run: masters decide, and workers decide when they leave.
for layer in ("common", "airflow", "master", "worker"):
    programs = REPOSITORY / f"node/rootfs/{layer}/usr/local/lib/airflow"
    sys.path += [str(programs), str(programs / "python")]
