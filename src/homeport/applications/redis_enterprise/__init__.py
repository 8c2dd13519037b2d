"""Redis Enterprise for Kubernetes: releases, image fields, version rules."""
