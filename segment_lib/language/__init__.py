"""The parts that conditions are made of: comparisons, windows, filters, aggregates. No Spark here."""
