"""Modules that the programs of all nodes use."""
