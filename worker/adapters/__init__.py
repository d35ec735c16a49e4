"""The adapters: one package or module for each vendor behind a port, and the only imports of that vendor.

An adapter turns its vendor's errors into `Retryable` and `Fatal`. What a job means, and when it runs,
must not live here.
"""
