"""How manifests are packaged: Helm charts, kustomizations, archives; read without running anything."""
