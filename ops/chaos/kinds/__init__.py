"""The kinds of a chaos run, one for each queue; a platform knows them only where JOBYARD_KINDS names them."""
