"""Triggers: messages on entering and leaving segments, each sent once, when it is due and still wanted."""
