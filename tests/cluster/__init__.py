"""Rows that the workers of a real Dask cluster ask."""
