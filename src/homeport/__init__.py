"""Give every image that a Kubernetes cluster pulls a home port."""

__version__ = "0.1.0"
