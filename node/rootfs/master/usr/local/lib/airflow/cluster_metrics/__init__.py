"""Metrics of the whole cluster, which a master computes from the metadata database."""
