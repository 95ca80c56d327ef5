"""The wire forms: one module for each, named in the rows of ``providers/table.py``; no I/O, no clock."""
