"""Tests of the files and programs of nodes."""
