"""Files of a segment's members for other systems: whole, or what changed since the last ones, with a manifest."""
