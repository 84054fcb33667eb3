"""Builds the extension modules of ``s3d/_core``; everything else stands in pyproject.toml.

``S3D_BUILD`` chooses the flavour:

- ``release`` (default): -O3, what users get.
- ``trace``: line tracing and profiling hooks, for coverage of Cython code.
- ``asan``: AddressSanitizer, UBSan and the C asserts of CPython's own macros; run under
  ``LD_PRELOAD=$(gcc -print-file-name=libasan.so)`` with ``PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0``.

``S3D_SOURCES``: where the ``.pyx`` files lie, for those who build others with the same flags (the planted faults of
``tests/fuzz``); default ``s3d/_core``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

FLAVOUR = os.environ.get("S3D_BUILD", "release")
FLAGS: dict[str, tuple[list[str], list[str]]] = {
    # NDEBUG and wrapv are CPython's own flags for its headers' code; CFLAGS in the environment would drop them.
    "release": (["-O3", "-g0", "-DNDEBUG", "-fwrapv"], ["-Wl,-s"]),
    "trace": (["-O1", "-g", "-DCYTHON_TRACE=1", "-DCYTHON_TRACE_NOGIL=1"], []),
    "asan": (
        [
            "-O1",
            "-g",
            "-UNDEBUG",
            "-fno-omit-frame-pointer",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
        ],
        ["-fsanitize=address,undefined"],
    ),
}
if FLAVOUR not in FLAGS:
    raise SystemExit(f"S3D_BUILD={FLAVOUR!r} is not a build flavour; use one of {', '.join(FLAGS)}")

compile_args, link_args = FLAGS[FLAVOUR]
core = Path(os.environ.get("S3D_SOURCES", "s3d/_core"))
package = ".".join(core.parts)
jobs = len(os.sched_getaffinity(0))
extensions = [
    Extension(
        f"{package}.{source.stem}",
        sources=[str(source)],
        depends=[str(header) for header in sorted(core.glob("*.h"))],
        # The C files lie under build/, away from the headers that they include.
        include_dirs=[str(core)],
        extra_compile_args=["-std=c11", "-fvisibility=hidden", "-Wall", "-Wno-unused-function", *compile_args],
        extra_link_args=link_args,
    )
    for source in sorted(core.glob("*.pyx"))
]

# The commands that only describe the package need no C.
describing = bool({"sdist", "egg_info", "dist_info"} & set(sys.argv[1:]))

setup(
    ext_modules=extensions
    if describing
    else cythonize(
        extensions,
        # One directory per flavour: a C file with tracing in it must never be taken for a release's.
        build_dir=f"build/cython/{FLAVOUR}",
        nthreads=jobs,
        annotate=FLAVOUR == "trace",
        compiler_directives={
            "language_level": "3",
            "embedsignature": True,
            "binding": True,
            # What holds C state would come back from a pickle without it.
            "auto_pickle": False,
            "freethreading_compatible": False,
            "linetrace": FLAVOUR == "trace",
        },
    ),
    options={"build_ext": {"parallel": jobs}},
)
