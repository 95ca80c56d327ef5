"""The dashboard's picture: events and a snapshot in, HTML out. Pure."""
