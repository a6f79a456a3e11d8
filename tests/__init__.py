"""The tests, a package: so that tests/components and components are two different things to Python."""
