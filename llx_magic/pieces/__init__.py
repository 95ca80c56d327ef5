"""Images and files of a prompt: which may be read, what is sent of them, and how they are shown."""
