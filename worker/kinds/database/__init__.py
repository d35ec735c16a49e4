"""Kinds that write into the data sources which the operator declared."""
