"""The hot paths, in Cython. Imports nothing from the rest of s3d."""
