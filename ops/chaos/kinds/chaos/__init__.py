"""The same script on every queue, and so on every pool."""
