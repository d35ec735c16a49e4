"""The demonstration: a platform of its own, real work on it, and a table of what came out.

It uses the platform as a user does, over HTTP and by the `jobyard` command. Nothing of the platform may
live here.
"""
