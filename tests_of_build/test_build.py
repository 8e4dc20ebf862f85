"""The build, run on one or two small modules in a folder of its own; needs the sources, Cython and a C compiler."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent.parent

# The byte past the last one is wrong to read, but there: a zero.
PROBE = """
def at(bytes text, Py_ssize_t i):
    return text[i]
"""

BUILD = """
import runpy
import sys
from setuptools import setup

parts = runpy.run_path("setup.py", run_name="parts")
names = sys.argv.pop().split(",")
modules = parts["cythonized"]([parts["extension"](name, [], []) for name in names])
setup(name="sksparsenn", packages=[], cmdclass={"build_ext": parts["BuildExt"]}, ext_modules=modules)
"""

# Notes every call, and refuses what some compilers do not have; does not optimise, to save time.
COMPILER = """#!/bin/sh
echo "$*" >> calls.txt
case " $* " in *" -fopenmp "*)
    {refuses}
esac
exec {compiler} "$@" -O0
"""
NEVER = ":"
ALWAYS = 'echo "unknown option -fopenmp" >&2; exit 1'
# As where OpenMP lies in a folder of its own.
WITHOUT_FLAGS = 'case " $* " in *" -DFROM_CFLAGS "*" -o "*|*" -L/from/ldflags "*) ;; *) exit 1 ;; esac'


class Folder:
    """A folder with the sources of two small modules, compiled there by a compiler that notes its calls."""

    def __init__(self, path):
        self.path = path
        package = path / "sksparsenn"
        (package / "_utils").mkdir(parents=True)
        for name in ("setup.py", "sksparsenn/_utils/threads.pyx", "sksparsenn/_utils/threads.pxd"):
            shutil.copy(SOURCES / name, path / name)
        for folder in (package, package / "_utils"):
            (folder / "__init__.py").touch()
        (package / "_probe.pyx").write_text(PROBE)
        (path / "build.py").write_text(BUILD)

    def build(self, modules, refuses=NEVER, **environment):
        """Build the modules; the output, and the calls of the compiler."""
        compiler = self.path / "compiler.sh"
        real = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        compiler.write_text(COMPILER.format(refuses=refuses, compiler=real))
        compiler.chmod(0o755)
        calls = self.path / "calls.txt"
        calls.write_text("")
        # Whatever is set where the tests run must not reach this build.
        rest = {name: value for name, value in os.environ.items() if not name.startswith("SKSPARSENN_")}
        environment = rest | {"CC": str(compiler), "LDSHARED": f"{compiler} -shared"} | environment
        output = self.python("build.py", "build_ext", "--inplace", modules, **environment)
        return output, calls.read_text().splitlines()

    def python(self, *arguments, **environment):
        run = subprocess.run(
            [sys.executable, *arguments], cwd=self.path, env=os.environ | environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout
        return run.stdout

    def evaluate(self, module, expression):
        return self.python("-c", f"import sksparsenn.{module} as m; print({expression})").strip()

    def checks_bounds(self):
        program = (
            "from sksparsenn._probe import at\n"
            "try:\n"
            "    print('read', at(b'ab', 2))\n"
            "except IndexError as error:\n"
            "    print('refused', error)\n"
        )
        answer = self.python("-c", program)
        assert answer.startswith(("read 0", "refused"))
        return answer.startswith("refused")

    def grow_old(self):
        """Set all time stamps back by a year, so that they keep their order and Cython's own files are newer."""
        for path in self.path.rglob("*"):
            stamps = path.stat()
            year = 365 * 24 * 3600 * 10**9
            os.utime(path, ns=(stamps.st_atime_ns - year, stamps.st_mtime_ns - year))


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


WARNING = "UserWarning: OpenMP is not available: sksparsenn is built to run on one thread"


def test_without_openmp_the_build_warns_and_takes_one_thread(folder):
    output, calls = folder.build("_utils.threads", ALWAYS)
    assert WARNING in output
    assert [call for call in calls if "-fopenmp" in call.split()] == calls[:1]  # one question
    assert folder.evaluate("_utils.threads", "m.built_with_openmp()") == "False"
    # A compiler that has it is found by the next build, in the same folder.
    output, calls = folder.build("_utils.threads")
    assert WARNING not in output
    assert folder.evaluate("_utils.threads", "m.built_with_openmp()") == "True"
    # And not asked if threads are not wanted.
    output, calls = folder.build("_utils.threads", SKSPARSENN_NO_OPENMP="1")
    assert WARNING not in output
    assert not any("-fopenmp" in call for call in calls)
    assert folder.evaluate("_utils.threads", "m.built_with_openmp()") == "False"


def test_openmp_is_looked_for_with_the_flags_of_the_environment(folder):
    output, _ = folder.build("_utils.threads", WITHOUT_FLAGS, CFLAGS="-DFROM_CFLAGS", LDFLAGS="-L/from/ldflags")
    assert WARNING not in output
    assert folder.evaluate("_utils.threads", "m.built_with_openmp()") == "True"


def test_debug_checks_bounds_and_does_not_optimise(folder):
    _, calls = folder.build("_probe")
    assert not folder.checks_bounds()
    # In the same folder, with sources that have not changed.
    _, calls = folder.build("_probe", SKSPARSENN_DEBUG="1")
    assert folder.checks_bounds()
    # The last word on optimisation and on assertions counts: Python brings its own.
    last = {call: re.findall(r"-O\S+", call)[-1:] + re.findall(r"-[UD]NDEBUG", call)[-1:] for call in calls}
    probe = [call for call in calls if re.search(r" -c \S+_probe\.c ", call)]
    assert [last[call] for call in probe] == [["-O0", "-UNDEBUG"]]
    folder.build("_probe")
    assert not folder.checks_bounds()


def test_no_module_has_directives_of_its_own():
    modules = [*SOURCES.glob("sksparsenn/**/*.pyx"), *SOURCES.glob("sksparsenn/**/*.pxd")]
    assert modules
    for path in modules:
        assert "# cython:" not in path.read_text(), path


def test_a_second_build_compiles_what_has_changed(folder):
    folder.build("_utils.threads,_probe")
    folder.grow_old()
    output, calls = folder.build("_utils.threads,_probe")
    assert "ythonizing" not in output
    assert not calls
    probe = folder.path / "sksparsenn" / "_probe.pyx"
    probe.write_text(PROBE.replace("text[i]", "2 * text[i]"))
    output, calls = folder.build("_utils.threads,_probe")
    assert [line for line in output.splitlines() if "ythonizing" in line] == ["[1/1] Cythonizing sksparsenn/_probe.pyx"]
    assert calls
    assert not any("threads" in call for call in calls)
    assert folder.evaluate("_probe", "m.at(b'a', 0)") == str(2 * ord("a"))


def test_without_compiled_modules_the_sources_say_what_to_do(tmp_path):
    package = tmp_path / "sksparsenn"
    shutil.copytree(SOURCES / "sksparsenn", package, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    run = subprocess.run([sys.executable, "-c", "import sksparsenn"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        f"ImportError: the compiled modules of sksparsenn are missing in {package}, a folder of its sources: start "
        'Python in another folder after "pip install .", or compile them here by "pip install -e .".'
    )
