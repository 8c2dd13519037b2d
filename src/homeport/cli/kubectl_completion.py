"""`kubectl_complete-homeport`: what kubectl asks to complete the words of `kubectl homeport`.

It gets the words so far, of which the last is being typed, and answers a candidate a line, then a directive of cobra
(kubectl 1.26 and newer, pkg/cmd/plugin/plugin_completion.go).
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

from homeport.cli.commands import COMMANDS
from homeport.errors import HomeportError

_WORDS_ONLY, _FILES = ":4", ":0"
"""cobra.ShellCompDirectiveNoFileComp, and the default, which completes the names of files."""


def main() -> None:
    """Answer kubectl; a failure answers nothing, for there is nowhere to say it."""
    *before, word = sys.argv[1:] or [""]
    with suppress(HomeportError):
        found, directive = complete(before, word)
        print("\n".join([*found, directive]))


def complete(before: Sequence[str], word: str) -> tuple[list[str], str]:
    """Return what a word may become, and whether it may be the name of a file otherwise."""
    if not before:
        return _fitting(COMMANDS, word), _WORDS_ONLY
    from homeport.cli.app import build_app

    _, apps, rest = build_app().parse_commands(list(before))
    here = apps[-1]
    below = [name for name in here if name[:1] != "-"]
    if below:
        return _fitting(below if not rest else (), word), _WORDS_ONLY
    options = {
        name: argument
        for argument in here.assemble_argument_collection()
        for name in (*argument.names, *argument.negatives)
        if name[:1] == "-" and argument.parameter.show is not False
    }
    if word[:1] == "-":
        return _fitting(options, word), _WORDS_ONLY
    last = rest[-1] if rest else ""
    if last == "--context":
        return _fitting(_contexts(), word), _WORDS_ONLY
    if last in ("-n", "--namespace"):
        return _fitting(_namespaces(before), word), _WORDS_ONLY
    if last in options and (choices := options[last].get_choices()):
        return _fitting(choices, word), _WORDS_ONLY
    return [], _FILES


def _fitting(names: Iterable[str], word: str) -> list[str]:
    return sorted(name for name in names if name.startswith(word))


def _contexts() -> tuple[str, ...]:
    from homeport.cluster import require_kube

    require_kube()
    from homeport.cluster.kubeconfig import context_names

    return context_names()


def _namespaces(before: Sequence[str]) -> list[str]:
    """Ask the cluster that the words so far choose."""
    from homeport.cluster import require_kube

    require_kube()
    from homeport.cluster.api import Api
    from homeport.cluster.kinds import NAMESPACES
    from homeport.cluster.kubeconfig import load_config

    at = before.index("--context") + 1 if "--context" in before else len(before)
    with Api(load_config(before[at] if at < len(before) else None)) as api:
        return [value["metadata"]["name"] for value in api.objects(NAMESPACES)]
