"""The loop that asks the core and acts: one request, one attempt, time-outs, and the background loop."""
