"""The S3 operations: one place decides, per operation and object, how each is carried out."""
