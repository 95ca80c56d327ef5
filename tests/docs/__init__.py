"""The documentation says what is true: its links lead somewhere, its examples run, its tables are those of the code."""
