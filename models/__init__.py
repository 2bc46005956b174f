"""Models that score customers; they take and return tables, and reach them through `segment_lib` alone."""
