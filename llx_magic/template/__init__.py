"""Texts with ``{{ expression }}`` in them, filled in with data; knows neither IPython nor how a prompt is sent."""
