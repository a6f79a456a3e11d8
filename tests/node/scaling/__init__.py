"""The decisions are imported as on a node, where they stand beside the programs."""

from __future__ import annotations

from tests.node import programs

programs.module("scaling")
