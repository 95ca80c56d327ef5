"""Logins: what other tools keep for their users, and what a library of theirs makes of it for one request."""
