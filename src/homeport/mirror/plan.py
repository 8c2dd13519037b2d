"""Turn what is wanted and what the target has into ordered steps with their cost. Pure."""
