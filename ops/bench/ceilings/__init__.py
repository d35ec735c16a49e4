"""What no platform can exceed here: the same server with a constant answer."""
