"""The house is as the design says: imports run one way, and the README's tree is the folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from resnet_viz.export.board import join_modules

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "resnet_viz"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted((ROOT / "assets").rglob("*.js"))

# What a part of the package may import of the package. Imports inside functions count, but for `LAZY`.
ALLOWED = {
    "records": set(),
    "text": {"records"},
    "lab": {"records", "lab"},
    "sweeps": {"records"},
    "store": {"records", "sweeps", "store"},
    "engine": {"records", "sweeps", "store", "engine"},
    "figures": {"records", "sweeps", "text", "figures"},
    "export": {"records", "text", "figures", "export"},
    "ui": {"records", "sweeps", "store", "text", "engine", "figures", "export", "ui"},
    "cli": {"records", "sweeps", "text", "lab", "cli_effects", "cli_export", "cli_options", "cli_output", "cli_sweep",
            "cli_why", "cli_words"},
    "cli_effects": {"records", "sweeps"},
    "cli_export": {"records", "sweeps", "text", "lab", "export", "cli_effects", "cli_options"},
    "cli_options": {"records", "sweeps", "text", "lab", "cli_effects", "cli_why"},
    "cli_sweep": {"records", "sweeps", "text", "engine", "cli_effects", "cli_options", "cli_words"},
    "cli_output": {"records"},
    "cli_words": {"records", "text", "cli_effects", "cli_options"},
    "cli_why": {"records", "text", "lab", "cli_effects"},
    "__main__": {"cli"},
    "__init__": set(),
}
LAZY = {("engine/tasks.py", "lab")}  # named on the server, imported on a worker
ONLY_IN = {"torch": {"lab"}, "captum": {"lab"}, "sklearn": {"lab"}, "safetensors": {"lab"}, "streamlit": {"ui"},
           "distributed": {"engine"}, "dask": {"engine"}, "asyncio": {"engine", "ui"},
           "sqlalchemy": {"store"}, "alembic": {"store"}, "psycopg": {"store"}, "pyarrow": {"store", "export"}}
# Middle modules of lab know the nets, not each other; those of `experiments` compose them.
LAB = {"datasets": set(), "batches": set(), "nets": set(), "dense": {"nets"}, "train": {"nets", "dense"},
       "probes": {"nets", "datasets"},
       "surgery": {"nets", "datasets"}, "weights": {"nets", "checkpoints"}, "glass": {"nets"}, "dimensions": {"nets"},
       "architecture": {"nets"}, "credit": {"batches", "nets"}, "checkpoints": set(), "pictures": set(),
       "pretrained": {"nets", "checkpoints"},
       "paths": {"batches", "nets"}, "shattering": {"batches", "nets"}, "landscape": {"batches", "nets"},
       "experiments/training": {"datasets", "nets", "train", "probes"},
       "experiments/operations": {"batches", "datasets", "nets", "probes", "surgery", "experiments/training"},
       "experiments/blocks": {"batches", "datasets", "nets", "glass", "dimensions", "experiments/training",
                              "experiments/operations"},
       "experiments/files": {"weights", "experiments/training"},
       "experiments/why": {"batches", "datasets", "train", "probes", "paths", "shattering", "experiments/training"},
       "experiments/planes": {"datasets", "nets", "landscape", "experiments/training"},
       "experiments/attribution": {"datasets", "credit", "experiments/training", "experiments/operations",
                                   "experiments/blocks"},
       "experiments/pictures": {"train", "credit", "pretrained", "experiments/attribution"}}


# The files of records, each of which may know those before it.
RECORDS = ("errors", "reading", "data", "nets", "operations", "races", "frames", "architectures", "why", "credit")


def find_imports(path: Path, top_only: bool = False) -> set[str]:
    """Dotted names of what a module imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    part, where = part_of(path), str(path.relative_to(PACKAGE))
    for name in find_imports(path):
        top, *rest = name.split(".")
        if top == "resnet_viz" and rest:
            assert rest[0] in ALLOWED[part] | {"records"} or (where, rest[0]) in LAZY, f"{where} imports {name}"
        assert part in ONLY_IN.get(top, {part}), f"{where} imports {name}"


def test_lab_modules_do_not_know_each_other() -> None:
    modules = {path.relative_to(PACKAGE / "lab").with_suffix("").as_posix(): path
               for path in (PACKAGE / "lab").rglob("*.py") if path.stem != "__init__"}
    assert modules.keys() == LAB.keys()
    for module, path in modules.items():
        imported = {name.removeprefix("resnet_viz.lab.").replace(".", "/") for name in find_imports(path)}
        known = {other for other in modules if any(f"{name}/".startswith(f"{other}/") for name in imported)}
        assert known <= LAB[module], f"{module} imports {known - LAB[module]}"


def test_training_imports_nothing_that_takes_long() -> None:
    """Each worker begins with it: captum and torchvision take a second."""
    found, open_ = set(), {"experiments/training"}
    while open_:
        found |= open_
        open_ = set().union(*(LAB[module] for module in open_)) - found
    for module in found:
        assert not find_imports(PACKAGE / "lab" / f"{module}.py") & {"captum", "captum.attr", "torchvision"}, module


def test_what_is_asked_of_the_lab_by_name_is_there() -> None:
    for path in [*(PACKAGE / "engine").rglob("*.py"), *(PACKAGE / "ui").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'(?:(?:Call|\.run|\.demonstrate)\(|tasks\.\w+, |(?="experiments\.))"([\w.]+)"', text):
            module, _, function = name.rpartition(".")
            source = PACKAGE / "lab" / f"{module.replace('.', '/')}.py"
            assert source.exists() and f"\ndef {function}(" in source.read_text(encoding="utf-8"), f"{path.name}: {name}"


def test_records_import_one_way() -> None:
    assert {path.stem for path in (PACKAGE / "records").glob("*.py")} == {"__init__", *RECORDS}
    for i, name in enumerate(RECORDS):
        known = {name.split(".")[2] for name in find_imports(PACKAGE / "records" / f"{name}.py")
                 if name.startswith("resnet_viz.records.")}
        assert known <= set(RECORDS[:i]), f"records/{name}.py imports {known - set(RECORDS[:i])}"


def test_board_can_be_joined() -> None:
    """Its modules import what others export, without a cycle; what begins is the last; no two give something one name."""
    exports, imports = {}, {}
    for path in (ROOT / "assets" / "board").glob("*.js"):
        module = path.read_text(encoding="utf-8")
        exports[path.name] = set(re.findall(r"^export (?:const|function|class) (\w+)", module, re.M))
        imports[path.name] = {name: set(names.split(", ")) for names, name in
                              re.findall(r'^import \{ (.+) \} from "\./(.+)";$', module, re.M)}
    assert imports.keys() == exports.keys() and all(names <= exports[name] for found in imports.values()
                                                    for name, names in found.items())
    for entry, begins in (("board.js", "export default"), ("film.js", "function showFilm")):
        joined = join_modules(entry)
        names = re.findall(r"^(?:const|let|function|class) (\w+)", joined, re.M)
        assert len(names) == len(set(names)) > 50 and not re.search("^import|^export (?!default)", joined, re.M)
        assert joined.index(begins) > joined.rindex("class ")
    assert "Recording" not in join_modules("board.js")  # which each page loads


def test_tasks_import_the_lab_only_when_they_run() -> None:
    assert not [name for name in find_imports(PACKAGE / "engine" / "tasks.py", top_only=True) if ".lab" in name]


def test_fragments_speak_the_session_s_language() -> None:
    """Run by itself a fragment knows no language: it has to say first which."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            decorators = [ast.unparse(item) for item in getattr(node, "decorator_list", ())]
            if any(decorator.startswith("st.fragment") for decorator in decorators):
                first = node.body[1 if ast.get_docstring(node) else 0]
                assert ast.unparse(first) == "use_language(st.session_state.language)", f"{path.name}: {node.name}"


def test_readme_tree_is_the_folder() -> None:
    """Every file and folder that the README's tree names exists, and every module and script is in it."""
    tree = re.search(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S).group(1)
    named, folders = set(), []
    for line in tree.splitlines():
        entry = re.match(r"( *)(\S+)", line)
        if not entry:
            continue
        folders[len(entry[1]) // 2 :] = [entry[2].rstrip("/")]
        path = Path(*folders)
        assert (ROOT / path).exists(), f"the README names {path}"
        named.add(str(path))
    missing = [str(path.relative_to(ROOT)) for path in MODULES + SCRIPTS if path.name not in ("__init__.py", "__main__.py")
               and str(path.relative_to(ROOT)) not in named]
    assert not missing, f"the README's tree lacks {missing}"


def test_nothing_is_fetched_from_elsewhere() -> None:
    """No page loads code, styles or fonts from another host."""
    for path in [*SCRIPTS, *(ROOT / "assets").rglob("*.css"), *MODULES]:
        text = path.read_text(encoding="utf-8")
        addresses = [a for a in re.findall(r"https?://[^\s\"'`)]+", text) if "w3.org" not in a and "{" not in a]
        assert not addresses, f"{path.name}: {addresses}"


def test_every_page_can_be_reached() -> None:
    """Each view with a `show_page` stands in the navigation, at an address of its file's name."""
    script = (PACKAGE / "ui" / "main.py").read_text(encoding="utf-8")
    named = re.findall(r'st\.Page\((\w+)\.show_page, .*?url_path="(\w+)"', script)
    assert all(module == address for module, address in named)
    views = (PACKAGE / "ui" / "views").glob("*.py")
    pages = {path.stem for path in views if "def show_page" in path.read_text(encoding="utf-8")}
    assert {module for module, _address in named} == pages
