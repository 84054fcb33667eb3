"""The S3 protocol, pure: no sockets, no clock, no threads."""
