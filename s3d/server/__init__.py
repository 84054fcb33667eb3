"""Connections on uvloop, dispatch, listeners, s3d's own endpoints."""
