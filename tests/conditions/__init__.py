"""Tests of the condition types, a file each, named like the file of the condition: worked cases, words and faults.

`CASES` are evaluated on Spark and by the oracle, together with those of all other files. The file of a new type brings
its naive evaluation with it: it adds a function to `oracle.segments.CONDITIONS` under the type's key.
"""
