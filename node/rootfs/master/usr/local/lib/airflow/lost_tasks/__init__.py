"""Finds queued tasks whose messages the broker has lost."""
