"""The measured work of the performance goals, with peers side by side: ``python -m benchmarks``."""
