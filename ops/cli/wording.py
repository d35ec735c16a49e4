"""Figures as an operator reads them at a glance."""

COUNTED = 10_000  # where the API stops counting what waits in a queue


def at_least(count: int) -> str:
    """A count that ends at a bound."""
    return f"{count:,}+" if count >= COUNTED else f"{count:,}"


def brief(seconds: float) -> str:
    """A length of time, in its largest units: `42s`, `5m 07s`, `3h 20m`, `2d 4h`."""
    whole = int(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"
