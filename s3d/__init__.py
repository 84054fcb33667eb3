"""s3d: a daemon that serves S3 on a local address, beside the applications that use it."""

__version__ = "0.1.0"
