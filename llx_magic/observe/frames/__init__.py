"""DataFrames of what a profile has done."""
