"""Telling people how a run ended: what is said (`summary`), how it looks (`message`), how it is sent (`delivery`).

A message holds counts, names of segments and reasons; no customer's id and nothing of their data. Nothing here raises
for what goes wrong on the way: a failing notification never fails a run.
"""
