"""The benchmark, `jobyard bench`: what the platform does in a second, beside others in the same minutes.

What must hold at every change is a test, and does not live here.
"""
