"""The settings as a command reads them."""

import os

import click

from worker.settings import Settings, SettingsError


def read_settings() -> Settings:
    """The settings of the environment; a bad one ends the command with a sentence."""
    try:
        return Settings.from_environment(os.environ)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
