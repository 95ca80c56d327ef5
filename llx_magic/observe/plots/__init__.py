"""Plots of what a profile has done, with matplotlib."""
