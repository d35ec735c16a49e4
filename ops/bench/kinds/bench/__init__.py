"""Jobs that cost nothing themselves."""
