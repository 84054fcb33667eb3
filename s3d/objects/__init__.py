"""The object engine: the only one that orders writes between data files and index."""
