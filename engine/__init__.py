"""Runs the program offline against mock outputs and records every resource that it registers."""
