"""Kinds to measure with; a platform knows them only where JOBYARD_KINDS names them."""
