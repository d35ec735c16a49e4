"""The engine of Jobyard, and the contract that every room shares."""
