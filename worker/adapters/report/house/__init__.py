"""The house's style: layouts for reports that bring none, the look of charts, a typeface, a first report."""

from pathlib import Path

HOUSE = Path(__file__).parent
