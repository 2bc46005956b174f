"""The truth of the tests: every definition evaluated one customer and one row at a time, in plain Python.

It is written from the contract (the language reference) and never from the engine, imports nothing of `segment_lib`,
and prefers the shortest loop that says what the contract says. Speed does not matter here.

`members` expects definitions that the checker accepts. A form that it does not know raises `ValueError`, so a test
can never agree with the engine by both saying nothing.
"""

from oracle.people import Data
from oracle.segments import members

__all__ = ["Data", "members"]
