"""The grammar and the actions that the magics and the command line share."""
