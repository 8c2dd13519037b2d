"""What a person types: parse, call, render. The only room that prints or exits."""

import sys


def main() -> None:
    """Run `homeport` and exit with the code of the design."""
    arguments = sys.argv[1:]
    if arguments in ([], ["--help"], ["-h"], ["--version"]):
        print(_greeting(arguments))
        return
    from homeport.cli.app import run

    sys.exit(run(arguments))


def _greeting(arguments: list[str]) -> str:
    """Answer the commonest calls without importing the command line's library (0.1 s)."""
    if arguments == ["--version"]:
        from homeport import __version__

        return f"homeport {__version__}"
    from homeport.cli.commands import help_text

    return help_text()
