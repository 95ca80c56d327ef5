"""Keys: how one is held, what names and shapes they have, and how they are taken out of foreign texts."""
