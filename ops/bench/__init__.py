"""Measurements, run by hand: each module is a program that says in its docstring how to run it.

What must hold at every change is a test, and does not live here.
"""
