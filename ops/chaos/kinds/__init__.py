"""The kinds of a chaos run: one a queue, two of them for bundles too; JOBYARD_KINDS names the package."""
