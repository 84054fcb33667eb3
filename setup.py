"""Builds the extension modules of ``s3d/_core``; everything else stands in pyproject.toml.

``S3D_BUILD`` chooses the flavour:

- ``release`` (default): -O3, what users get.
- ``trace``: line tracing and profiling hooks, for coverage of Cython code.
- ``asan``: AddressSanitizer and UBSan, Cython's own checks on; run under ``LD_PRELOAD=$(gcc -print-file-name=libasan.so)``.
"""

from __future__ import annotations

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FLAVOUR = os.environ.get("S3D_BUILD", "release")
FLAGS: dict[str, tuple[list[str], list[str]]] = {
    "release": (["-O3", "-g0"], ["-Wl,-s"]),
    "trace": (["-O1", "-g", "-DCYTHON_TRACE=1", "-DCYTHON_TRACE_NOGIL=1"], []),
    "asan": (
        ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
        ["-fsanitize=address,undefined"],
    ),
}
if FLAVOUR not in FLAGS:
    raise SystemExit(f"S3D_BUILD={FLAVOUR!r} is not a build flavour; use one of {', '.join(FLAGS)}")

compile_args, link_args = FLAGS[FLAVOUR]
core = Path("s3d/_core")
extensions = [
    Extension(
        f"s3d._core.{source.stem}",
        sources=[str(source)],
        depends=[str(header) for header in sorted(core.glob("*.h"))],
        extra_compile_args=["-std=c11", "-fvisibility=hidden", "-Wall", "-Wno-unused-function", *compile_args],
        extra_link_args=link_args,
    )
    for source in sorted(core.glob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        nthreads=os.cpu_count() or 1,
        annotate=FLAVOUR == "trace",
        compiler_directives={
            "language_level": "3",
            "embedsignature": True,
            "binding": True,
            "freethreading_compatible": False,
            "linetrace": FLAVOUR == "trace",
        },
    )
)
