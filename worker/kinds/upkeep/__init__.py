"""Kinds that keep the platform itself in order."""
