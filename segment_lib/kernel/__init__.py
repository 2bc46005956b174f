"""The second lowering of the core form: many definitions by numpy, over rows that one shuffle has brought together.

`spec` says what it decides of a plan, `people` ties it to Spark, and docs/architecture.md tells the way of the rows.
"""
