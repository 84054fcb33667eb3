"""The upstream client: addresses, credentials, connections, health; signs, streams, retries."""
