"""Tests of what lands on a node."""
