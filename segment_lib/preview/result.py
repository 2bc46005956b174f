"""The result of a preview: numbers as attributes, text for a terminal, HTML for a notebook, plain data for JSON.

None of the renderings has a customer's id or personal data: only `members`, which nobody evaluates unasked, has ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from segment_lib.preview.estimates import Estimate, Number, Sample

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from segment_lib.definition import Segment


@dataclass(frozen=True)
class Example:
    """One customer, masked: of ids, names and addresses the first letter at most.

    `change` is what the definition would do to them: stays, enters or leaves. `created` is a date in the tenant's zone,
    None for anonymous visitors; `net_revenue` is in the tenant's currency.
    """

    customer: str
    name: str | None
    email: str | None
    country: str | None
    created: date | None
    orders: int
    net_revenue: Decimal
    change: str


@dataclass(frozen=True)
class Effect:
    """What the definition would do to the segment of that id as it is published.

    `members` is how many of those looked at are members in the published snapshot; None when there is no such segment
    in it, so that every member would enter.
    """

    members: Estimate | None
    entering: Estimate
    leaving: Estimate


@dataclass(frozen=True)
class Preview:
    """What an unsaved definition would give on one date.

    Orders are of all statuses, revenue is in `currency`, share is of everyone evaluated, from 0 to 1. `published` is
    whether `snapshot_date` is a published date, whose pinned inputs were used; otherwise the newest were, and there is
    no `effect`. `members` has one row per member among those looked at (customer_id, anonymous, orders, gross_revenue,
    net_revenue, enters), with full ids; it is computed when it is used.
    """

    segment: Segment
    snapshot_date: date
    published: bool
    currency: str
    sample: Sample
    size: Estimate
    share: Estimate
    anonymous: Estimate
    orders: Estimate
    gross_revenue: Estimate
    net_revenue: Estimate
    effect: Effect | None
    examples: tuple[Example, ...]
    entering: tuple[Example, ...]
    leaving: tuple[Example, ...]
    notes: tuple[str, ...]
    members: DataFrame = field(repr=False, compare=False)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.segment.id + (f": {self.segment.name}" if self.segment.name else "")
        yield self.segment.label()
        yield self.basis
        yield ""
        yield from _aligned([(label, spoken) for label, spoken in self._numbers()])
        for title, examples in self._tables():
            yield f"\n{title}"
            yield from _aligned([_heads(self.currency), *(_cells(example) for example in examples)])
        if self.notes:
            yield ""
            yield from (f"- {note}" for note in self.notes)

    @property
    def basis(self) -> str:
        """On which date and on how many customers the numbers rest, in words."""
        source = "as published" if self.published else "not published: with the newest inputs"
        seen = f"{self.sample.seen:,}"
        if self.sample.is_exact:
            return f"{self.snapshot_date}, {source}; exact, all {seen} customers"
        whole = "" if self.sample.size is None else f" of {self.sample.size:,}"
        rate = f"{self.sample.rate * 100:.2g}%"
        return f"{self.snapshot_date}, {source}; a stable sample of {rate}, {seen}{whole} customers; 95% intervals"

    def _numbers(self) -> Iterator[tuple[str, str]]:
        """Each number with its name."""
        yield "size", _spoken(self.size, "customers")
        yield "share of all", _spoken(self.share, "%")
        yield "anonymous", _spoken(self.anonymous, "customers")
        yield "orders", _spoken(self.orders, "orders")
        yield "gross revenue", _spoken(self.gross_revenue, self.currency)
        yield "net revenue", _spoken(self.net_revenue, self.currency)
        if self.effect is not None:
            if self.effect.members is not None:
                yield "members as published", _spoken(self.effect.members, "customers")
            yield "would enter", _spoken(self.effect.entering, "customers")
            yield "would leave", _spoken(self.effect.leaving, "customers")

    def _tables(self) -> Iterator[tuple[str, Sequence[Example]]]:
        """The examples that there are, each list with its title."""
        titles = (("Members, masked", self.examples), ("Would enter, masked", self.entering),
                  ("Would leave, masked", self.leaving))
        yield from ((f"{title} ({len(found)})", found) for title, found in titles if found)

    def _repr_html_(self) -> str:
        parts = [
            f"<h4><code>{escape(self.segment.id)}</code> {escape(self.segment.name or '')}</h4>",
            f"<p>{escape(self.segment.label())}<br>{escape(self.basis)}</p>", _table(None, list(self._numbers())),
        ]
        for title, examples in self._tables():
            rows = [_cells(example) for example in examples]
            parts.append(f"<p>{escape(title)}</p>{_table(_heads(self.currency), rows)}")
        if self.notes:
            parts.append("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in self.notes) + "</ul>")
        return "".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The preview as plain data, without `members`."""
        numbers = ("size", "share", "anonymous", "orders", "gross_revenue", "net_revenue")
        effect = None if self.effect is None else {
            name: None if number is None else _ends(number) for name, number in vars(self.effect).items()
        }
        return {
            "segment": self.segment.id, "definition": self.segment.label(), "date": self.snapshot_date,
            "published": self.published, "currency": self.currency,
            "sample": {
                "rate": self.sample.rate, "customers": self.sample.seen, "of": self.sample.size,
                "exact": self.sample.is_exact,
            },
            **{name: _ends(getattr(self, name)) for name in numbers},
            "effect": effect,
            **{name: [vars(one) for one in getattr(self, name)] for name in ("examples", "entering", "leaving")},
            "notes": list(self.notes),
        }


def _ends(estimate: Estimate) -> dict[str, Number]:
    return {"estimate": estimate.value, "low": estimate.low, "high": estimate.high}


def _spoken(estimate: Estimate, unit: str) -> str:
    """A number with its unit and, unless it is exact, its interval.

    >>> _spoken(Estimate(1200, 1100, 1310), "customers"), _spoken(Estimate.exact(Decimal("5.5")), "EUR")
    ('about 1,200 customers (1,100 to 1,310)', 'EUR 5.50')
    """
    def written(number: Number) -> str:
        if unit == "%":
            return f"{number * 100:.2f}%"
        if isinstance(number, Decimal):
            return f"{unit} {number:,.2f}"
        return f"{number:,}"

    after = f" {unit}" if isinstance(estimate.value, int) and unit != "%" else ""
    if estimate.is_exact:
        return written(estimate.value) + after
    return f"about {written(estimate.value)}{after} ({written(estimate.low)} to {written(estimate.high)})"


def _heads(currency: str) -> tuple[str, ...]:
    return "customer", "name", "email", "country", "created", "orders", f"net revenue, {currency}", "change"


def _cells(example: Example) -> tuple[str, ...]:
    texts = (example.customer, example.name, example.email, example.country, example.created)
    return (
        *("-" if text is None else str(text) for text in texts), f"{example.orders:,}", f"{example.net_revenue:,.2f}",
        example.change,
    )


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as columns of text.

    >>> list(_aligned([("a", "b"), ("long", "c")]))
    ['a     b', 'long  c']
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _table(heads: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> str:
    def line(tag: str, cells: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line('th', heads) if heads else ''}{''.join(line('td', row) for row in rows)}</table>"
