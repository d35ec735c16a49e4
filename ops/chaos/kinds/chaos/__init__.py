"""The same script on every queue, and so on every pool; the short kinds travel in bundles too."""
