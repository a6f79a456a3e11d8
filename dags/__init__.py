"""Releases of DAG folders: checked, published to the dags bucket, listed, compared and rolled back.

The format is the nodes' own module, so that what is published here can be read there.
"""

from __future__ import annotations

import sys

from node.rootfs import PROGRAMS, ROOTFS

sys.path.append(str(ROOTFS / "common" / PROGRAMS.lstrip("/")))
