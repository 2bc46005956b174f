"""Lists of a segment's members: the columns to choose from, where a file may lie, how it is written row by row."""
