"""The platforms that audiences travel to, one module each behind one interface (`segment_lib.sync.contract`)."""

from segment_lib.sync.destinations.opening import open_destination
from segment_lib.sync.options import TYPES, check

DEFAULT_PROFILE = {kind: model.profile for kind, model in TYPES.items()}

__all__ = ["DEFAULT_PROFILE", "TYPES", "check", "open_destination"]
