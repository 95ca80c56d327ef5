"""Which keys may go to which hosts: asked once, remembered in ``trusted.json``."""
