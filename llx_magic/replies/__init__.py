"""Replies that were paid for, kept on the disk: what is asked once more is answered from there."""
