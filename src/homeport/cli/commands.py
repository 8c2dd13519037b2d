"""The commands, a sentence each. Imports nothing, so that `homeport --help` answers at once."""

COMMANDS = {
    "scan": "Find where images come from: manifests or a live cluster.",
    "rules": "List what is known of operators; explain why a field is an image.",
    "serve": "Run a private registry.",
    "registry": "Look after a registry of your own: check, gc, user.",
    "mirror": "Bring images to a registry under the same tags and digests.",
    "bundle": "Carry images across an air gap in one file: save, load, list, verify.",
    "check": "Find out what a registry can do, before images are brought to it.",
    "relocate": "Point manifests at a registry.",
    "nodes": "Send the pulls of nodes to a registry: containerd, CRI-O, OpenShift.",
    "helm-plugin": "Let Helm relocate what it renders.",
    "secret": "Make pull secrets; in a cluster: spread, renew, attach and prune them.",
    "limits": "Show Docker Hub's pull quota, and what a mirror would count.",
    "verify": "Prove that all is at the registry and nothing is pulled from elsewhere.",
    "plan": "Show what apply would do, from homeport.yaml; change nothing.",
    "apply": "Do the whole job of homeport.yaml; doing it again does nothing.",
    "rollback": "Take back what apply --cluster has changed in a cluster.",
    "redis-enterprise": "What belongs to a release of Redis Enterprise: images, checks, manifests, upgrades.",
    "rbac": "Print the least rights that Homeport needs in a cluster.",
    "policy": "Print a policy that lets a cluster run images of your registry alone.",
    "completion": "Print the completion script of a shell.",
}

SUMMARY = "Run Kubernetes applications from a registry of your own."


def help_text() -> str:
    """Return what `homeport --help` prints."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name.ljust(width)}  {sentence}" for name, sentence in COMMANDS.items()]
    return "\n".join(
        [
            SUMMARY,
            "",
            "Usage: homeport COMMAND [OPTIONS]",
            "",
            "Commands:",
            *rows,
            "",
            "`homeport COMMAND --help` shows a command's options. Exit codes: 0 done, 1 done but something",
            "failed or is wrong, 2 nothing could be started, 130 interrupted.",
        ]
    )
