"""The columns that a list of members may have, and the frame that holds them.

Fields of customers are those that the date's run saw, at the versions it had pinned; scores are as it published them.
Cost: the members by customer id, and one join by it for each of customers, scores and orders that is asked for; orders
are read once, whole, when a total is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from segment_lib import customer_totals, preparation, profiles, scan
from segment_lib.catalogue import SCORES
from segment_lib.clock import Clock
from segment_lib.errors import UsageError, nearest
from segment_lib.personal import personal_fields
from segment_lib.preview.masked import masked
from segment_lib.scores import column_of, staged_name
from segment_lib.totals import COUNT, PLACES

if TYPE_CHECKING:
    from datetime import date

    from segment_lib.runs import RunRecord
    from segment_lib.settings import Settings
    from segment_lib.storage import Lake

ID, SINCE, AGE_GROUP = "customer_id", "since", "age_group"
#: The columns of a list when none are chosen.
DEFAULT = (ID, SINCE, "first_name", "last_name", "email", "country", AGE_GROUP)
TOTALS = ("orders", "gross_revenue", "net_revenue")
_OWN = (ID, SINCE, AGE_GROUP, *TOTALS)


def known(settings: Settings) -> dict[str, str]:
    """Each name that may be asked for, and the column that it becomes.

    A custom field whose name is one of ours is asked for as ``customer.NAME``.

    >>> from segment_lib.settings import Settings
    >>> names = known(Settings(catalogue={"customer_fields": {"orders": "text", "tier": "text"}}))
    >>> names["tier"], names["orders"], names["customer.orders"], names["rfm.group"]
    ('tier', 'orders', 'customer_orders', 'rfm_group')
    """
    fields = settings.names().customers()
    named = {f"customer.{name}" if name in _OWN else name: name for name in fields if name != ID}
    columns = {name: name.replace(".", "_") for name in named}
    return {name: name for name in _OWN} | columns | {score: column_of(score) for score in SCORES}


def chosen(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """The names, checked; the default columns when there are none. UsageError for an unknown one or one given twice."""
    if not names:
        return DEFAULT
    there = known(settings)
    for name in names:
        if name not in there:
            raise UsageError(f"there is no column {name!r}; {nearest(name, there)}")
    columns = [there[name] for name in names]
    for name, column in zip(names, columns, strict=True):
        if columns.count(column) > 1:
            raise UsageError(f"the column {name!r} is asked for more than once")
    return tuple(names)


def personal(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that are personal data.

    >>> from segment_lib.settings import Settings
    >>> fields = {"catalogue": {"customer_fields": {"orders": "text"}}, "customers": {"personal_fields": ["orders"]}}
    >>> personal(Settings(**fields), ["customer_id", "orders", "customer.orders", "email"])
    ('customer.orders', 'email')
    """
    secret = personal_fields(settings)
    return tuple(name for name in names if name not in _OWN and name.removeprefix("customer.") in secret)


def age_group(birthday: Column, day: date, begins: Sequence[int]) -> Column:
    """The group of an age in whole years on a day; null without a birthday, or with one that is still to come.

    Who is born on 29 February turns a year older on 1 March.
    """
    had = F.month(birthday) * 100 + F.dayofmonth(birthday) <= F.lit(day.month * 100 + day.day)
    age = F.lit(day.year) - F.year(birthday) - F.when(had, 0).otherwise(1)
    groups = F.when(age < begins[0], F.lit(f"under {begins[0]}"))
    for first, after in zip(begins, begins[1:], strict=False):
        groups = groups.when(age < after, F.lit(f"{first}-{after - 1}"))
    return F.when(birthday <= F.lit(day), groups.otherwise(F.lit(f"{begins[-1]}+")))


def frame(
    lake: Lake, run: RunRecord, members: DataFrame, names: Sequence[str], *, mask: bool, order: str | None = None
) -> DataFrame:
    """`members` (customer_id, since) of a published run with the columns `names`, which `chosen` has checked.

    With `mask` personal data is masked: of a text the first letter stays, of anything else nothing; missing values stay
    missing. With `order` the id is a further first column of that name. UsageError and InputError when the date's
    scores or inputs are no longer kept.
    """
    settings, day = lake.settings, run.snapshot_date
    there = known(settings)
    fields = {name: name.removeprefix("customer.") for name in names if name not in _OWN and name not in SCORES}
    scores = [name for name in names if name in SCORES]
    totals = [name for name in names if name in TOTALS]
    rows = members
    if fields or AGE_GROUP in names:
        preparation.require(lake, run, f"the inputs of {day}")
        wanted = {*fields.values(), *(["birthday"] if AGE_GROUP in names else [])}
        rows = rows.join(_customers(lake, run, sorted(wanted)), ID, "left")
    if scores:
        profiles.require(lake, run, scores)
        rows = profiles.with_scores(rows, lake, run, scores)
    if totals:
        preparation.require(lake, run, f"the inputs of {day}")
        clock = Clock(day, settings.zone)
        rows = rows.join(scan.order_totals(lake, run.inputs, clock, settings.names(), totals), ID, "left")
    secret = set(personal(settings, names)) if mask else set()

    def column(name: str) -> Column:
        if name == AGE_GROUP:
            return age_group(F.col(_field("birthday")), day, settings.customers.age_groups)
        if name in TOTALS:
            total = F.col(customer_totals.staged(name)) if PLACES[name] == COUNT else customer_totals.money(name)
            return F.coalesce(total, F.lit(0))
        if name in SCORES:
            score = staged_name(name)
            return F.col(score) if score in rows.columns else F.lit(None).cast(SCORES[name].ddl)
        if name not in fields:
            return F.col(name)
        value = F.col(_field(fields[name]))
        return _masked(rows, value, _field(fields[name])) if name in secret else value

    first = [F.col(ID).alias(order)] if order else []
    return rows.select(*first, *(column(name).alias(there[name]) for name in names))


def _field(name: str) -> str:
    return f"_field_{name}"


def _customers(lake: Lake, run: RunRecord, fields: Sequence[str]) -> DataFrame:
    """The rows of `customers` that count, as the run read them."""
    rows = lake.input("customers", run.inputs.get("customers"), run.inputs).where("_reject IS NULL")
    return rows.select(ID, *(F.col(f"`{name}`").alias(_field(name)) for name in fields))


def _masked(rows: DataFrame, value: Column, name: str) -> Column:
    if rows.schema[name].dataType.simpleString() == "string":
        return masked(value)
    return F.when(value.isNotNull(), F.lit("***"))
