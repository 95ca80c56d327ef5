"""Asking a model over HTTP: the backend, its transports, and what stands on the way: proxies, certificates, keys."""
