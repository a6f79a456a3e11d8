"""The ElastiCache node types that can be replicated with TLS, AUTH and encryption at rest."""

from __future__ import annotations

from collections.abc import Mapping

_GRAVITON = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
_INTEL = ("large", "xlarge", "2xlarge", "4xlarge", "12xlarge", "24xlarge")
_BURSTABLE = ("micro", "small", "medium")

# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheNodes.SupportedTypes.html
# Left out on purpose: previous generations (t1, m1 to m3, r3: no encryption; t2, m4, r4: no new clusters with current
# engines) and r6gd, whose data tiering puts rarely used keys on disk, which a queue has no use for.
_SIZES: Mapping[str, tuple[str, ...]] = {
    "t3": _BURSTABLE,
    "t4g": _BURSTABLE,
    "m5": _INTEL,
    "m6g": _GRAVITON,
    "m7g": _GRAVITON,
    "r5": _INTEL,
    "r6g": _GRAVITON,
    "r7g": _GRAVITON,
    "c7gn": _GRAVITON,
}

NODE_TYPES: tuple[str, ...] = tuple(f"cache.{family}.{size}" for family, sizes in _SIZES.items() for size in sizes)
