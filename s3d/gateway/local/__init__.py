"""The operations that are answered from the object engine, one file for each kind."""
