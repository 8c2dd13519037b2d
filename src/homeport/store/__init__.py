"""Content stores behind one protocol."""
