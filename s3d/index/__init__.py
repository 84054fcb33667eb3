"""The object index: RocksDB rows, and the atomic changes from one state to the next."""
