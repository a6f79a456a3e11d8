"""Whether a master's services work."""
