"""Keys: how they are kept and named, and how they are removed from texts of others."""
