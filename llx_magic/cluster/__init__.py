"""The workers of a Dask cluster, as those who ask the rows of a run."""
