"""Profile documents, and where they are kept."""
