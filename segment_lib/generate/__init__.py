"""A seeded shop of any size, and the demo shop around the real CDNOW orders.

Every value is a hash of (seed, id, purpose), computed by Spark where the row is made: the same seed and size give the
same rows under any partitioning, and memory does not grow with size.
"""

from __future__ import annotations

from segment_lib.generate.cdnow import DEMO_DATES, cdnow_orders, cdnow_path, cdnow_shop
from segment_lib.generate.output import arrived, export_files, write_shop
from segment_lib.generate.synthetic import generate_shop

__all__ = [
    "DEMO_DATES", "arrived", "cdnow_orders", "cdnow_path", "cdnow_shop", "export_files", "generate_shop", "write_shop",
]
