"""Grafana dashboards of a cluster's metrics: `make docs` writes the JSON files beside their modules."""
