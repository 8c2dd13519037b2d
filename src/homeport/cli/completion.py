"""`homeport completion`: let the shell complete commands and options."""

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell.

    Keep it in a file, then the shell completes without starting Homeport:
    homeport completion bash > ~/.local/share/bash-completion/completions/homeport
    """
    from homeport.cli.app import DONE, build_app

    print(build_app().generate_completion(prog_name="homeport", shell=shell))
    return DONE
