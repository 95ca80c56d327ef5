"""Decisions only: nothing in here reads a clock, sleeps, draws a random number or does I/O."""
