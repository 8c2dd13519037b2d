"""A live Kubernetes cluster: read it, and make pull secrets for it."""
