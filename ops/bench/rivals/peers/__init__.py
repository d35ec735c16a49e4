"""The peers' programs, top-level modules for the Python of their environment. Each has the same functions.

`clear` forgets what was before, `submit` queues jobs, `workers` tells the workers' command lines, `done`
counts what ended, and `results` reads what each job returned.
"""
