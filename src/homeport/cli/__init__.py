"""What a person types: parse, call, render. The only room that prints or exits."""


def main() -> None:
    """Run `homeport` and exit with the code of the design."""
    import sys

    from homeport.cli.app import run

    sys.exit(run())
