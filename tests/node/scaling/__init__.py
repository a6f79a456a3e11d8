"""The scaling modules are importable as on a node, where they are beside the programs."""

from __future__ import annotations

from tests.node import programs

programs.module("scaling")
