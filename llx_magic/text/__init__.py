"""Text: what may stand on a screen, messages, tables, Markdown and mathematics. No I/O."""
