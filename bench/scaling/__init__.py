"""Simulates worker pools: the product's own decisions against the formulas of its peers."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# The decisions are imported from where a node has them, so that what is measured here is what runs there.
sys.path += [str(REPOSITORY / f"node/rootfs/{role}/usr/local/lib/airflow") for role in ("common", "worker")]
