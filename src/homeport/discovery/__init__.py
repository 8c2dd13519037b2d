"""Where images are named: documents, objects, fields."""
