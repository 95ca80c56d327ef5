"""Data in as rows, and what became of each row out as columns beside them."""
