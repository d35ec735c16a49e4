"""Where the `jobyard` command begins, on PATH or as `python -m ops`."""

from ops.interruption import ended_by_ctrl_c


def main() -> None:
    """Run the command."""
    with ended_by_ctrl_c():
        from ops.cli import main as command  # noqa: PLC0415 - takes a moment, in which Ctrl-C may come
    command()


if __name__ == "__main__":
    main()
