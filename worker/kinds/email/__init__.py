"""Kinds that send mail."""
