"""Checks whether a master's services work."""
