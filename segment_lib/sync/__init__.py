"""Segments to the places where marketing happens: the ledger of what was sent, and destinations behind one interface."""
