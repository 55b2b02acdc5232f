"""Every table of a folder, added by ``python -m lockstep add`` with its own choices, built, compared with the baseline.

    python benchmarks/any_table.py ~/tables            # every .csv in the folder, the largest last

Works on a copy of the repository in a temporary folder. Prints a Markdown table: rows and columns, decisions, the
headline metric on the test rows beside the baseline's, and the seconds that ``dvc repro`` took.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Add and build every table; 1 if one fails or does not beat the baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    tables = sorted(args.folder.resolve().glob("*.csv"), key=lambda path: path.stat().st_size)
    worse = 0
    print("| table | rows x columns | target | task | decided | model | metric | test | baseline | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="lockstep-any-table-") as temporary:
        copy = _copy(Path(temporary) / "repository")
        for path in tables:
            row, better = _run(copy, path)
            worse += not better
            print(f"| {path.name} | {row} |", flush=True)
    print(f"\n{len(tables) - worse} of {len(tables)} beat the baseline.")
    return int(worse > 0)


def _copy(folder: Path) -> Path:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n")
    _call(folder, "git", "init", "-q")
    return folder


def _call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1800
    )


def _run(copy: Path, path: Path) -> tuple[str, bool]:
    """(the cells of the table's row, whether the model beats the baseline)"""
    name = f"t_{re.sub(r'[^A-Za-z0-9]', '_', path.stem)}"
    added = _call(copy, "python", "-m", "lockstep", "add", str(path), "--name", name)
    if added.returncode:
        return f"add: {added.stderr.strip()}" + " |" * 8, False
    start = time.perf_counter()
    built = _call(copy, "dvc", "repro", "-q", f"evaluate@{name}", f"cross_validate@{name}")
    seconds = time.perf_counter() - start
    if built.returncode:
        errors = [line for line in built.stderr.splitlines() if line.startswith("ERROR")]
        return f"{(errors or ['failed'])[0]}" + " |" * 8, False
    problem = yaml.safe_load((copy / "params.yaml").read_text())["problems"][name]
    profile = json.loads((copy / f"metrics/{name}_profile.json").read_text())
    metrics = json.loads((copy / f"metrics/{name}.json").read_text())
    task = problem["load"]["task"]
    # Balanced, so that a rare class counts; the baseline's balanced accuracy is one by the number of classes.
    metric = "balanced_accuracy" if task == "classification" else "r2_score"
    classes = len(profile["target"].get("classes", {}))
    value, baseline = metrics[metric], 1 / classes if classes else metrics["baseline_r2_score"]
    cells = [
        f"{profile['rows']:,} x {len(profile['columns'])}",
        f"`{problem['load']['target']}`",
        task,
        _decided(problem),
        problem["train"]["model"],
        metric,
        f"{value:.3f}",
        f"{baseline:.3f}",
        f"{seconds:.0f}",
    ]
    return " | ".join(cells), value > baseline


def _decided(problem: dict[str, Any]) -> str:
    """What ``add`` decided of the file and its columns, beyond target and task."""
    load = {name: value for name, value in problem["load"].items() if name not in ("path", "task", "target")}
    split = {name: problem["split"].get(name) for name in ("group", "time")}
    return (
        "; ".join(f"{name}: {value}".replace("|", "\\|") for name, value in (load | split).items() if value)
        or "nothing"
    )


if __name__ == "__main__":
    sys.exit(main())
