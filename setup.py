"""Builds the compiled modules; everything else about the package is in pyproject.toml.

Environment variables
---------------------
SKSPARSENN_DEBUG : if set, compile with bounds checks and without optimisation of the Cython code.
SKSPARSENN_NO_OPENMP : if set, build without threads even where OpenMP is available.
"""

import os
import sys
import tempfile
import warnings
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools._distutils.errors import CompileError, LinkError
from setuptools.command.build_ext import build_ext

DEBUG = bool(os.environ.get("SKSPARSENN_DEBUG"))

# Who fires is decided by one inner product whose bits may not depend on the
# machine: its file is compiled without fused multiply-adds.
EXACT = ["-ffp-contract=off"]
# The scan only filters, within bounds that cover any rounding.
SCAN = ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
COMMON = ["-O3", "-Wno-psabi", "-Wno-unused-function"]

HEADERS = sorted(glob("sksparsenn/simd/*.h"))


def openmp_flags():
    """Compiler and linker flags for OpenMP, by platform."""
    if sys.platform == "win32":
        return ["-openmp"], []
    if sys.platform == "darwin":
        # Apple's clang has no OpenMP of its own: the user names one in CFLAGS and LDFLAGS.
        return ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
    return ["-fopenmp"], ["-fopenmp"]


class BuildExt(build_ext):
    """Compiles modules side by side, with OpenMP where a small program with it compiles and links."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        compile_args, link_args = openmp_flags()
        if os.environ.get("SKSPARSENN_NO_OPENMP") or not self.compiles_with(compile_args, link_args):
            compile_args, link_args = [], []
            warnings.warn("OpenMP is not available: sksparsenn is built to run on one thread.", stacklevel=1)
        for extension in self.extensions:
            extension.extra_compile_args += compile_args
            extension.extra_link_args += link_args
        super().build_extensions()

    def compiles_with(self, compile_args, link_args):
        program = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "openmp.c"
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_args)
                self.compiler.link_executable(objects, str(Path(folder) / "openmp"), extra_postargs=link_args)
            except (CompileError, LinkError):
                return False
        return True


def extension(name, c_sources, flags):
    return Extension(
        f"sksparsenn.{name}",
        sources=[f"sksparsenn/{name}.pyx", *c_sources],
        depends=HEADERS,
        extra_compile_args=COMMON + flags,
    )


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        [
            extension("_threads", [], EXACT),
            extension("_kernels", ["sksparsenn/simd/exact.c"], EXACT),
            extension("_scan", ["sksparsenn/simd/scan.c"], SCAN),
            extension("_tree", ["sksparsenn/simd/ids.c"], EXACT),
            extension("_tournament", [], EXACT),
            extension("_sparse", ["sksparsenn/simd/sparse.c"], EXACT),
            extension("_lists", ["sksparsenn/simd/distance.c"], EXACT),
            extension("_nodes", [], EXACT),
            extension("_gram", ["sksparsenn/simd/gram.c"], EXACT),
            extension("_cholesky", [], EXACT),
        ],
        compiler_directives={"boundscheck": True, "wraparound": False, "initializedcheck": True} if DEBUG else {},
    ),
)
