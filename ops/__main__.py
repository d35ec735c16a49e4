"""`python -m ops`: the `jobyard` command where it is not on PATH."""

from ops.cli import main

main()
