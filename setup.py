"""Builds the compiled modules; everything else about the package is in pyproject.toml.

Environment variables
---------------------
SKSPARSENN_DEBUG : if set, compile with bounds checks and assertions, and without optimisation.
SKSPARSENN_NO_OPENMP : if set, build without threads even where OpenMP is available.
SKSPARSENN_ABI3 : if set, build for the stable ABI of Python 3.11, so that one wheel serves all later versions.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings
from glob import glob
from pathlib import Path

import Cython
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

DEBUG = bool(os.environ.get("SKSPARSENN_DEBUG"))
NO_OPENMP = bool(os.environ.get("SKSPARSENN_NO_OPENMP"))
ABI3 = bool(os.environ.get("SKSPARSENN_ABI3"))

# Of all modules; a directive in a .pyx file would win over these.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
}

# Who fires is decided by one inner product whose bits may not depend on the
# machine: its file is compiled without fused multiply-adds.
EXACT = ["-ffp-contract=off"]
# The scan only filters, within bounds that cover any rounding.
SCAN = ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
COMMON = [*(["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O3"]), "-Wno-psabi", "-Wno-unused-function"]

HEADERS = sorted(glob("sksparsenn/_compiled/simd/*.h"))


def openmp_flags():
    """Compiler and linker flags for OpenMP, by platform."""
    if sys.platform == "win32":
        return ["-openmp"], []
    if sys.platform == "darwin":
        # Apple's clang has no OpenMP of its own: the user names one in CFLAGS and LDFLAGS.
        return ["-Xpreprocessor", "-fopenmp"], ["-lomp"]
    return ["-fopenmp"], ["-fopenmp"]


class BuildExt(build_ext):
    """Compiles what has changed, side by side, with OpenMP where a small program with it compiles and links."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()
        if self.editable_mode:
            # An editable install compiles into folders that do not last: modules are kept where other builds have them.
            build = self.distribution.get_command_class("build")(self.distribution)
            build.ensure_finalized()
            self.kept_modules, self.build_temp = build.build_platlib, build.build_temp

    def build_extensions(self):
        record = Path(self.build_temp) / "sksparsenn.json"
        before = json.loads(record.read_text()) if record.exists() else {}
        settings = self.settings()
        # OpenMP does not go away, but may have come since.
        openmp = not NO_OPENMP and (before == settings | {"openmp": True} or self.compiles_with(*openmp_flags()))
        if not openmp and not NO_OPENMP:
            warnings.warn("OpenMP is not available: sksparsenn is built to run on one thread.", stacklevel=1)
        settings["openmp"] = openmp
        # Time stamps do not tell that modules were compiled otherwise.
        self.force = self.force or before != settings
        record.unlink(missing_ok=True)
        for extension in self.extensions if openmp else []:
            extension.extra_compile_args += openmp_flags()[0]
            extension.extra_link_args += openmp_flags()[1]
        super().build_extensions()
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(settings))

    def settings(self):
        """What modules are compiled with, OpenMP aside."""
        variables = "CC", "CFLAGS", "CPPFLAGS", "LDSHARED", "LDFLAGS"
        flags = {extension.name: [*extension.extra_compile_args] for extension in self.extensions}
        return {"abi3": ABI3, "environment": {name: os.environ.get(name) for name in variables}, "flags": flags}

    def build_extension(self, ext):
        if not self.editable_mode:
            super().build_extension(ext)
            return
        module = Path(self.get_ext_fullpath(ext.name))
        kept = Path(self.kept_modules, *ext.name.split(".")[:-1], module.name)
        if kept.exists():
            module.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(kept, module)
        super().build_extension(ext)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(module, kept)

    def compiles_with(self, compile_args, link_args):
        """Whether a small library with OpenMP compiles and links, as the modules are: with CFLAGS and LDFLAGS."""
        program = "#include <omp.h>\nint threads(void) { return omp_get_max_threads(); }\n"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "openmp.c"
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_args)
                self.compiler.link_shared_object(objects, str(Path(folder) / "openmp"), extra_postargs=link_args)
            except CCompilerError:
                return False
        return True


def extension(name, c_sources, flags):
    """A module with the C sources that it is linked with, which are in `simd`."""
    return Extension(
        f"sksparsenn.{name}",
        sources=[f"sksparsenn/{name.replace('.', '/')}.pyx", *(f"sksparsenn/_compiled/simd/{c}" for c in c_sources)],
        depends=HEADERS,
        include_dirs=["sksparsenn/_compiled"],  # of headers that declarations name, wherever the module is
        extra_compile_args=COMMON + flags,
        define_macros=[("Py_LIMITED_API", "0x030B0000")] if ABI3 else [],
        py_limited_api=ABI3,
    )


def cythonized(extensions):
    """The extensions with C files, which Cython writes again where the sources of this package have changed.

    Cython by itself also looks at the files that come with it, which are new wherever an environment is made for a
    build.  A .pxd file counts for all modules.
    """
    record = Path("build/cython.json")
    settings = {"version": Cython.__version__, "directives": DIRECTIVES}
    same_settings = record.exists() and json.loads(record.read_text()) == settings
    declarations = [Path(name) for name in glob("sksparsenn/**/*.pxd", recursive=True)]
    for made in extensions if same_settings else []:
        pyx = Path(made.sources[0])
        c_file = pyx.with_suffix(".c")
        if c_file.exists() and c_file.stat().st_mtime > max(path.stat().st_mtime for path in (pyx, *declarations)):
            made.sources[0] = c_file.as_posix()
    record.unlink(missing_ok=True)
    extensions = cythonize(extensions, force=True, compiler_directives=DIRECTIVES)
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps(settings))
    return extensions


if __name__ == "__main__":
    setup(
        cmdclass={"build_ext": BuildExt},
        options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
        ext_modules=cythonized(
            [
                extension("_utils.threads", [], EXACT),
                extension("_compiled.kernels", ["exact.c"], EXACT),
                extension("_compiled.patterns", [], EXACT),
                extension("_compiled.scan", ["scan.c"], SCAN),
                extension("_compiled.few_rows", ["neurons.c"], EXACT),
                extension("_compiled.tables", [], EXACT),
                extension("_tree", ["ids.c"], EXACT),
                extension("_compiled.tournament", [], EXACT),
                extension("_compiled.sparse", ["sparse.c"], EXACT),
                extension("_compiled.lists", ["distance.c"], EXACT),
                extension("_compiled.nodes", [], EXACT),
                extension("_compiled.gram", ["gram.c"], EXACT),
                extension("_compiled.normal", ["normal.c"], EXACT),
                extension("_compiled.cholesky", [], EXACT),
            ]
        ),
    )
