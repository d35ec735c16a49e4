"""Others who do the same work, each in one file, run by the Python of a virtual environment of their own.

Nothing of theirs is imported here: the files of `peers/` are their programs. The lock
files are made by `uv pip compile --universal --python-version 3.11 --generate-hashes` from the `.in` files.
"""
