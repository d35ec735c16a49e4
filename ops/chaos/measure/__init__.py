"""What the platform claims in seconds, measured as a user would: break one thing, and look at the jobs.

Each module measures one claim, on the rig of a chaos run and through the API. Whether jobs are lost is the
checker's to say, not asked here.
"""
