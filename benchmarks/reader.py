"""The strict reader against pandas.read_csv and pyarrow: seconds and peak memory on a large CSV file.

    python benchmarks/reader.py          # on a file of 1 GB in a temporary folder; --megabytes N for another size

Each reader runs in a process of its own, one after another, --repeat times, on the same file, which is read once before
so that all find it in the page cache; the medians are printed. "Lockstep" is what the stage load does: scan, split into
cells, type the columns. The peak is what reading adds to the process with its libraries.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
BLOCK_ROWS = 200_000
# Each prints: seconds, processor seconds of all threads, MiB that reading added to the largest resident set, MiB of the
# table.
MEASURE = """
import sys, time
sys.path.insert(0, {root!r})
import pathlib
from lockstep.kernel.log import peak_memory_mib
{setup}
before = peak_memory_mib()
start, processor = time.perf_counter(), time.process_time()
frame = {read}
seconds, processor = time.perf_counter() - start, time.process_time() - processor
print(seconds, processor, peak_memory_mib() - before, frame.memory_usage(deep=True).sum() / 2**20)
"""
READERS = {
    "Lockstep": (
        "from lockstep.reading.csvfile import CsvFile\nfrom lockstep.reading.blocks import read_typed",
        "read_typed(CsvFile(pathlib.Path({path!r}))).frame",
    ),
    "pandas.read_csv": ("import pandas", "pandas.read_csv({path!r})"),
    "pandas.read_csv, one thread": (
        "import pandas\npandas.set_option('mode.max_threads', 1)",
        "pandas.read_csv({path!r})",
    ),
    "pyarrow": ("import pandas, pyarrow.csv", "pyarrow.csv.read_csv({path!r}).to_pandas()"),
}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-reader-") as folder:
        path = Path(folder) / "large.csv"
        rows = _write(path, args.megabytes * 10**6)
        path.read_bytes()
        print(f"{path.stat().st_size / 1e6:,.0f} MB, {rows:,} rows, 12 columns\n")
        runs = [
            {name: _run(setup, read.format(path=str(path))) for name, (setup, read) in READERS.items()}
            for _ in range(args.repeat)
        ]
        results = {name: np.median([run[name] for run in runs], axis=0) for name in READERS}
        megabytes = path.stat().st_size / 2**20
    base = results["pandas.read_csv"]
    print("| reader | seconds | by pandas | processor s | by pandas | peak MiB | table MiB | peak by table | by file |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (seconds, processor, peak, table) in results.items():
        print(
            f"| {name} | {seconds:.2f} | {seconds / base[0]:.2f} | {processor:.2f} | {processor / base[1]:.2f} | "
            f"{peak:,.0f} | {table:,.0f} | {peak / table:.2f} | {peak / megabytes:.2f} |"
        )


def _write(path: Path, size: int) -> int:
    """Rows of whole numbers, decimals with gaps, dates, and texts, some in quotes; how many there are."""
    rng, rows = np.random.default_rng(0), 0
    cities = np.array(["Toledo", "Maumee", "Sylvania", "Oregon, Ohio", "Waterville"])
    while not path.exists() or path.stat().st_size < size:
        frame = pd.DataFrame({f"x{i}": rng.normal(size=BLOCK_ROWS).round(6) for i in range(5)})
        frame.loc[rng.random(BLOCK_ROWS) < 0.05, "x0"] = np.nan
        frame["n"] = rng.integers(0, 10**6, BLOCK_ROWS)
        frame["year"] = rng.integers(1950, 2025, BLOCK_ROWS)
        frame["city"] = rng.choice(cities, BLOCK_ROWS)
        frame["code"] = np.char.add("c", rng.integers(0, 5000, BLOCK_ROWS).astype(str))
        frame["day"] = np.datetime64("2000-01-01") + rng.integers(0, 9000, BLOCK_ROWS)
        frame["name"] = np.char.add("customer ", rng.integers(0, 10**6, BLOCK_ROWS).astype(str))
        frame["flag"] = rng.random(BLOCK_ROWS) < 0.5
        frame.to_csv(path, mode="a", header=rows == 0, index=False)
        rows += BLOCK_ROWS
    return rows


def _run(setup: str, read: str) -> tuple[float, ...]:
    code = MEASURE.format(root=str(ROOT), setup=setup, read=read)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()[-4:]))


if __name__ == "__main__":
    main()
