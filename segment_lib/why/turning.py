"""The smallest sets of conditions that would have to change for the whole answer to change.

Conditions count as independent of each other, but for those that rest on the same test, which change together.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product
from math import comb

from segment_lib.why.result import Line

Change = frozenset[str]
#: So many smallest sets are given at most, and so many sets are tried one by one.
SHOWN, TRIED = 5, 20_000
#: What a condition made of others needs of its parts: (key, its truth wanted) -> the parts' truth.
_OF_ALL = {
    ("all", True): True, ("any", False): False, ("none", True): False, ("not", True): False, ("not", False): True,
}
_OF_ONE = {("all", False): False, ("any", True): True, ("none", False): True}


def smallest(root: Line) -> tuple[tuple[Line, ...], ...]:
    """The smallest sets of conditions, each as its lines; none when no change of theirs changes `root`.

    Nothing can be said of a tree in which a truth is not known.
    """
    leaves: dict[str, Line] = {}
    for leaf in root.leaves():
        leaves.setdefault(leaf.identity, leaf)
    if root.holds is None or any(leaf.holds is None for leaf in root.leaves()):
        return ()
    want = not root.holds
    found = [change for change in _changes(root, want) if _holds(root, change) is want]
    found = _tried(root, want, leaves, len(found[0]) - 1 if found else len(leaves)) or found
    return tuple(tuple(leaves[identity] for identity in leaves if identity in change) for change in found[:SHOWN])


def _changes(line: Line, want: bool) -> list[Change]:
    """The smallest changes that give `line` the truth wanted, as if all its conditions were independent."""
    if line.holds is want:
        return [frozenset()]
    if not line.parts:
        return [] if line.fixed else [frozenset({line.identity})]
    if (line.key, want) in _OF_ALL:
        each = [_changes(part, _OF_ALL[line.key, want]) for part in line.parts]
        needed = [ways[:SHOWN] for ways in each if ways != [frozenset()]]
        return _least(frozenset().union(*one) for one in product(*needed))
    return _least(change for part in line.parts for change in _changes(part, _OF_ONE[line.key, want]))


def _least(changes: Iterable[Change]) -> list[Change]:
    found: dict[Change, None] = {}
    for tried, change in enumerate(changes):
        if tried == TRIED:
            break
        found[change] = None
    size = min(map(len, found), default=0)
    return [change for change in found if len(change) == size]


def _tried(root: Line, want: bool, leaves: dict[str, Line], most: int) -> list[Change]:
    """Smaller sets, which exist only where conditions depend on each other: the few that can be are tried in turn."""
    if len(leaves) == sum(1 for _ in root.leaves()):
        return []
    free = [identity for identity, leaf in leaves.items() if not leaf.fixed]
    for size in range(1, most + 1):
        if comb(len(free), size) > TRIED:
            break
        found = [frozenset(one) for one in combinations(free, size) if _holds(root, frozenset(one)) is want]
        if found:
            return found
    return []


def _holds(line: Line, change: Change) -> bool:
    """The truth of a tree after a change."""
    if not line.parts:
        return bool(line.holds) != (line.identity in change)
    parts = [_holds(part, change) for part in line.parts]
    if line.key in ("any", "none"):
        return any(parts) is (line.key == "any")
    return all(parts) is (line.key == "all")
