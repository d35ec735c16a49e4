"""Forking beside another thread: a lock that it holds at that moment stays locked in the child for ever.

Python and its libraries mind their own locks; C libraries do not. A child of the pool hung for ever inside
libpq, in a lock of the Kerberos library, because the lease's thread was connecting when it was forked.
"""

import functools
import os
import threading


@functools.cache
def exclusion(_of: str) -> threading.Lock:
    """A lock that every fork of this process waits for; held while C code runs beside the main thread.

    One for each thread, so that they do not wait for each other. The first call must come late: what is
    registered last is acquired first, before the locks of `logging` and its like, which the other thread may
    need. So whoever holds one longer asks for it later.
    """
    lock = threading.Lock()
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
