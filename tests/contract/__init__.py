"""The S3 API as clients see it: a running s3d before real remotes, one file per operation."""
