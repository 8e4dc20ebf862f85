"""The house itself: rooms with a purpose, imports in one direction, functions of few arguments.

Read off the sources of the installed package: Python by its syntax tree, and Cython and C where sources are at hand.
"""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import sksparsenn

PACKAGE = Path(sksparsenn.__file__).parent

# A room may import from itself and from rooms of a lower level.  `_tree` stands at the top, where it was asked for.
LEVELS = {
    "_utils": 0,
    "_compiled": 1,
    "_tree": 2,
    "_samples": 3,
    "_network": 4,
    "_search": 5,
    "_solvers": 5,
    "_training": 6,
    "_estimators": 7,
    "ntk": 8,
    "inspection": 8,
    "dask": 8,
    "__init__": 9,
}
MOST_ARGUMENTS = 8


def modules():
    """Every module of the package by its dotted name below `sksparsenn`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


def imported(path):
    """The modules of the package that a module imports, below `sksparsenn`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("sksparsenn."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "sksparsenn":
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in submodules if is_module(name)]
            yield from found or [node.module]


def is_module(name):
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir() or any(path.parent.glob(f"{path.name}.*.so"))


def cimported(path):
    return (f"sksparsenn.{name}" for name in re.findall(r"^from sksparsenn\.([\w.]+) cimport", path.read_text(), re.M))


def room(name):
    return name.removeprefix("sksparsenn.").split(".")[0]


def sources():
    """Every module with what it imports; compiled ones with what they cimport, where their sources are at hand."""
    for name, path in modules():
        yield name, set(imported(path))
    for path in [*PACKAGE.rglob("*.pyx"), *PACKAGE.rglob("*.pxd")]:
        yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts), set(cimported(path))


def test_every_room_has_a_level_and_says_what_it_is_for():
    rooms = {room(name) for name, _ in modules()}
    assert rooms <= set(LEVELS), rooms - set(LEVELS)
    for name in rooms - {"__init__"}:
        docstring = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8")))
        assert docstring, name
        assert docstring.split("\n\n")[0].endswith("."), name


def test_imports_point_in_one_direction():
    wrong = [
        f"{name} imports {other}"
        for name, others in sources()
        for other in sorted(others)
        if room(other) != room(name) and LEVELS[room(other)] >= LEVELS[room(name)]
    ]
    assert not wrong


def test_no_import_circle():
    graph = {name: {other.removeprefix("sksparsenn.") for other in others} - {name} for name, others in sources()}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)  # raises CycleError for a circle


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_python_functions_take_few_positional_arguments(name, path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            count = len(node.args.posonlyargs) + len(node.args.args)
            method = count and (node.args.posonlyargs + node.args.args)[0].arg in ("self", "cls")
            label = getattr(node, "name", "lambda")
            assert count - bool(method) <= MOST_ARGUMENTS, f"{name}.{label} takes {count} positional arguments"


def arguments(text):
    """Split what stands between the parentheses of a C or Cython function at its outer commas."""
    depth, parts = 0, [""]
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in (part.strip() for part in parts) if part and part not in ("void", "*", "/")]


def compiled_functions(path):
    """Name and arguments of every function that a Cython or C file defines or declares."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)
    if path.suffix in (".pyx", ".pxd"):
        text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
        pattern = r"^[ ]*(?:def|cdef|cpdef)\s[^\n=(]*?(\w+)\(((?:[^()]|\([^()]*\))*)\)[^\n]*:"
    else:
        text = text.replace("\\\n", "\n")
        pattern = r"^[\w][\w \t*]*?\b((?:NAME\(\w+\))|\w+)\(((?:[^();{}]|\([^();{}]*\))*)\)\s*(?:\{|;)"
    for match in re.finditer(pattern, text, flags=re.M):
        yield match.group(1), arguments(match.group(2))


def test_compiled_functions_take_few_arguments():
    paths = [path for ending in ("pyx", "pxd", "c", "h") for path in PACKAGE.rglob(f"*.{ending}")]
    # Generated C files stand beside their .pyx.
    paths = [path for path in paths if path.suffix != ".c" or not path.with_suffix(".pyx").exists()]
    found = [(path.name, *function) for path in paths for function in compiled_functions(path)]
    many = [f"{file}: {name} takes {len(args)}" for file, name, args in found if len(args) > MOST_ARGUMENTS]
    assert not many
    assert not paths or len(found) > 100  # the pattern finds functions


def test_the_pattern_of_compiled_functions_finds_what_it_should(tmp_path):
    cython, c = tmp_path / "a.pyx", tmp_path / "a.c"
    cython.write_text("cdef int f(real[:, ::1] X, int (*g)(int, int),\n       double x) noexcept nogil:\n    pass\n")
    c.write_text("CLONES\nvoid NAME(f)(const float *x, int n,\n    int m)\n{\n    return;\n}\n")
    assert [(name, len(args)) for name, args in compiled_functions(cython)] == [("f", 3)]
    assert [(name, len(args)) for name, args in compiled_functions(c)] == [("NAME(f)", 3)]
