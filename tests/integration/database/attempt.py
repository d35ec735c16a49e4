"""One attempt of a load, in a process that a test can kill: `python -m … URL JOB`, the file on its stdin."""

import sys

from tests.integration.database.warehouse import Warehouse

if __name__ == "__main__":
    url, job = sys.argv[1:]
    with Warehouse.at(url) as warehouse:
        warehouse.load(sys.stdin.buffer.read(), job=job)
