"""Servers that behave as the platforms' documents say, over real HTTP, each with an audience that tests can look at."""
