"""Cyclopts' plain help, imported when help is printed: most commands print none, and it takes 10 ms."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help.formatters import PlainFormatter


class PlainHelp:
    """Does what help_formatter="plain" does."""

    def __call__(self, console: Any, options: Any, panel: Any) -> None:
        """Print a panel."""
        self._plain(console, options, panel)

    def render_usage(self, console: Any, options: Any, usage: Any) -> None:
        """Print the line of usage."""
        self._plain.render_usage(console, options, usage)

    def render_description(self, console: Any, options: Any, description: Any) -> None:
        """Print what a command does."""
        self._plain.render_description(console, options, description)

    @cached_property
    def _plain(self) -> "PlainFormatter":
        from cyclopts.help.formatters import PlainFormatter

        return PlainFormatter()
