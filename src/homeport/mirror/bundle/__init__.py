"""Images in one file, for the way across an air gap: an OCI image layout in a tar archive that other tools read too."""
