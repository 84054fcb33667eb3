"""Fuzzing under AddressSanitizer: mutation-based, seeded, bounded in time.

`targets_*.py` hold the targets, one function each; `worker.py` runs one of them in a process with the sanitized build;
`sanitized.py` makes that build; `test_fuzz.py` drives them. Crashing inputs are saved under `build/fuzz/`; one that was
a bug moves to `corpus/<target>/` and stays there.
"""
