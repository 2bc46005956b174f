"""References among segments as a graph: segment id -> ids that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from segment_lib.language.scope import Fault

References = Mapping[str, frozenset[str]]


def dependants(names: Iterable[str], references: References) -> frozenset[str]:
    """`names` and every segment that refers to one of them, directly or through others.

    >>> sorted(dependants(["a"], {"a": frozenset(), "b": frozenset({"a"}), "c": frozenset({"b"}), "d": frozenset()}))
    ['a', 'b', 'c']
    """
    found = set(names)
    while True:
        more = {name for name, referred in references.items() if referred & found} - found
        if not more:
            return frozenset(found)
        found |= more


def cycle_through(start: str, references: References) -> tuple[str, ...]:
    """The shortest chain of references from a segment back to itself; empty when there is none.

    >>> cycle_through("a", {"a": frozenset({"b"}), "b": frozenset({"a"})})
    ('a', 'b', 'a')
    """
    chains: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for chain in chains:
        for name in sorted(references.get(chain[-1], ())):
            if name == start:
                return (*chain, name)
            if name not in seen:
                seen.add(name)
                chains.append((*chain, name))
    return ()


def cycle_faults(start: str, references: References) -> tuple[Fault, ...]:
    """The fault of a segment that refers to itself in the end; empty when it does not."""
    chain = cycle_through(start, references)
    message = f"segments refer to each other in a circle: {' -> '.join(chain)}"
    return (Fault(("where",), message, "break it at one of them"),) if chain else ()
