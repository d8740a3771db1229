"""Joins the page's modules into one script, so that the first view waits for one answer instead of a dozen.

The modules are shipped as they are written, each with its imports; they are joined when the API is put
together, so there is no build step. Each becomes a function that is called once and returns what the module
exports. It understands the two forms of import and the exports that the modules use, and refuses all else:
it is no bundler. Nothing is made smaller; that is left to gzip.
"""

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

_IMPORT = re.compile(r'^import (?:\{ (\w+(?:, \w+)*) \}|\* as (\w+)) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async function|function|const) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import|export)\b.*$|^.*\bimport\s*[(.].*$", re.MULTILINE)


def join_modules(modules: Mapping[str, str]) -> str:
    """One module that does what they do together.

    Args:
        modules: text by name, without ``.js``; their order has no meaning.

    Raises:
        ValueError: one imports what there is not, they import one another in a circle, or something is
            imported or exported in a form that is not known here.
    """
    # Sorted, so that every agent of a release makes the same of them.
    needs = {
        name: sorted(match[3] for match in _IMPORT.finditer(text)) for name, text in sorted(modules.items())
    }
    for name, needed in needs.items():
        for module in needed:
            if module not in modules:
                raise ValueError(f"{name}.js imports {module}.js, which there is not")
    try:
        order = [*TopologicalSorter(needs).static_order()]
    except CycleError as error:
        raise ValueError(f"modules import one another: {' -> '.join(error.args[1])}") from None
    return "\n".join(_as_function(name, modules[name]) for name in order)


def _as_function(name: str, text: str) -> str:
    exported = [match[2] for match in _EXPORT.finditer(text)]
    body = _EXPORT.sub(r"\1", _IMPORT.sub(_as_constant, text))
    if left := _LEFT.search(body):
        raise ValueError(f"{name}.js cannot be joined with the others for this line: {left[0].strip()}")
    return f"const ${name} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n"


def _as_constant(match: re.Match[str]) -> str:
    names, whole, module = match.groups()
    return f"const {whole or f'{{ {names} }}'} = ${module};"
