"""The tests. They are a package so that Python distinguishes tests/components from components."""
