"""Kinds that talk to web servers which a client names."""
