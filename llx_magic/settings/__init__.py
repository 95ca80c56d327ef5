"""The one declaration of every setting, its layers and its help."""
