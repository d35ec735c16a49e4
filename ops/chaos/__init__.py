"""The proof of the promise: faults under load, and a judge of what came of every job.

A run writes a history (what clients saw, what handlers did, which faults struck), and the checker judges
it afterwards; neither knows how the platform works inside. What the platform needs to run must not live
here.
"""
