"""Simulates worker pools: the product's own decisions against the formulas of its peers."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# What is simulated is what nodes run: masters decide, and workers decide when they leave.
for layer in ("common", "master", "worker"):
    programs = REPOSITORY / f"node/rootfs/{layer}/usr/local/lib/airflow"
    sys.path += [str(programs), str(programs / "python")]
