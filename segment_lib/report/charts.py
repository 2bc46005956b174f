"""The charts of the page as Vega-Lite, made with Altair; their rows are put in by the page when a tab is opened."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def bundle() -> str:
    """The script that draws Vega-Lite charts, whole, so that the page needs no network."""
    import vl_convert

    return vl_convert.javascript_bundle().replace("</script", "<\\/script")


def specifications(currency: str) -> dict[str, dict[str, Any]]:
    """Vega-Lite by name: size over time with edits marked, who entered and left, revenue by month.

    Each names the rows that it draws: ``sizes`` (date, customers), ``edits`` (date, what), ``flows`` (date, change,
    customers; those who left below zero), ``months`` (month, revenue).
    """
    import altair as alt

    def rows(name: str) -> Any:
        return alt.NamedData(name=name)

    # Blue and vermilion, which the colour-blind tell apart.
    colours = alt.Scale(domain=["entered", "left"], range=["#0072b2", "#d55e00"])
    when = alt.X("date:T", title=None)
    line = alt.Chart(rows("sizes")).mark_line(interpolate="step-after", point=alt.OverlayMarkDef(size=12)).encode(
        x=when, y=alt.Y("customers:Q", title="customers", axis=alt.Axis(format="~s")),
        tooltip=[alt.Tooltip("date:T"), alt.Tooltip("customers:Q", format=",")],
    )
    edits = alt.Chart(rows("edits")).mark_rule(strokeDash=[4, 3], color="#cc79a7").encode(
        x=when, tooltip=[alt.Tooltip("date:T"), alt.Tooltip("what:N", title="definition")]
    )
    flows = alt.Chart(rows("flows")).mark_bar().encode(
        x=when, y=alt.Y("customers:Q", title="entered, left", axis=alt.Axis(format="~s")),
        color=alt.Color("change:N", title=None, scale=colours),
        tooltip=[alt.Tooltip("date:T"), "change:N", alt.Tooltip("customers:Q", format=",")],
    )
    months = alt.Chart(rows("months")).mark_bar().encode(
        x=alt.X("yearmonth(month):O", title=None),
        y=alt.Y("revenue:Q", title=f"net revenue, {currency}", axis=alt.Axis(format="~s")),
        tooltip=[alt.Tooltip("yearmonth(month):T", title="month"), alt.Tooltip("revenue:Q", format=",.2f")],
    )
    charts = {"sizes": line + edits, "flows": flows, "months": months}
    return {name: _plain(chart) for name, chart in charts.items()}


def _plain(chart: Any) -> dict[str, Any]:
    """The specification without what Altair adds for itself; as wide as its place in the page."""
    found = chart.properties(width="container", height=180).to_dict(validate=True)
    return {key: value for key, value in found.items() if key not in ("config", "datasets")}
