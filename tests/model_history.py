"""A history of models that is made by hand, as if DVC had trained and evaluated them; nothing is executed."""

import hashlib
import json
import shutil
import subprocess

from lockstep.__main__ import main

import numpy as np
import pandas as pd
import yaml
from recorded import dump

CLASSES = np.array(["a", "b", "c"], dtype=object)
N = 120
ODD = "x<b>&y"


def run_command(capsys, *arguments):
    """Run a command of Lockstep's: its exit code, and what it printed, with --json what that has of ``toy``."""
    status = main(arguments)
    printed = capsys.readouterr()
    text = printed.out + printed.err
    return status, json.loads(text)["problems"]["toy"] if "--json" in arguments and status == 0 else text


class History:
    """A repository whose commits record models of the problem ``toy``, as if DVC had run them; nothing is executed."""

    def __init__(self, folder):
        self.folder = folder
        (folder / ".dvc").mkdir(parents=True)
        (folder / ".dvc/config").write_text(f"[core]\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n")
        (folder / ".dvcignore").write_text("")
        (folder / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n/data\n/models\n/reports\n")
        (folder / "dvc.yaml").write_text("stages: {}\n")
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", "test@example.org")
        self.git("config", "user.name", "Test")

    def copy_to(self, folder):
        """The same in another folder, with a state of DVC's own."""
        copy = object.__new__(History)
        copy.folder = shutil.copytree(self.folder, folder)
        config = f"[core]\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n"
        (folder / ".dvc/config.local").write_text(config)
        return copy

    def git(self, *command):
        done = subprocess.run(["git", *command], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def put(self, path, content, cached=False):
        """Write a file, into the cache too if it is ``cached``; its entry in dvc.lock."""
        data = content if isinstance(content, bytes) else content.encode()
        md5 = hashlib.md5(data).hexdigest()
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        if cached:
            kept = self.cached(md5)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
        return {"path": path, "hash": "md5", "md5": md5, "size": len(data)}

    def cached(self, md5):
        return self.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]

    def record(self, skill, accuracy, seed=0, depth=3, rows="rows", train="train", evaluated=True, odd=False):
        """Write a model's results and commit them: as good as ``skill`` on the test rows, with a mean of ``accuracy``
        over the folds. Returns the commit."""
        settings = {
            "load": {"path": "raw.csv", "task": "classification", "target": ODD if odd else "y"},
            "train": {"model": "forest", "hyperparameters": {"depth": depth}},
        }
        raw, split = self.put("raw.csv", "a,y\n"), self.put("data/split/toy/train.parquet", train, cached=True)
        test = self.put("data/split/toy/test.parquet", rows, cached=True)
        model = self.put("models/toy/forest.joblib", f"{skill} {seed} {depth}", cached=True)
        predictions = self.put("data/predictions/toy.parquet", self.predictions(skill, seed, rows), cached=True)
        scores = [accuracy + 0.01 * step for step in (-2, -1, 0, 1, 2)]
        lines = [f"1,{fold},96,24,accuracy,{score}" for fold, score in enumerate(scores, 1)]
        folds = self.put("metrics/plots/toy/folds.csv", "\n".join(["repeat,fold,n_train,n_test,metric,value", *lines]))
        intervals = self.put(
            "metrics/plots/toy/intervals.csv", "metric,value,low,high,baseline\naccuracy,0.5,0.4,0.6,0.3\n"
        )
        given = {f"problems.toy.{name}": section for name, section in settings.items()}
        old = model if evaluated else model | {"md5": "f" * 32}
        stages = {
            "load": ([raw], {"problems.toy.load": given["problems.toy.load"]}, []),
            "split": ([], {}, [split, test]),
            "cross_validate": ([split], {}, [folds]),
            "train": ([split], {"problems.toy.train": given["problems.toy.train"]}, [model]),
            "evaluate": ([test, old], {}, [predictions, intervals]),
        }
        lock = {
            f"{name}@toy": {"cmd": name, "deps": deps, "params": {"params.yaml": params}, "outs": outs}
            for name, (deps, params, outs) in stages.items()
        }
        (self.folder / "params.yaml").write_text(yaml.safe_dump({"problems": {"toy": settings}}))
        (self.folder / "dvc.lock").write_bytes(dump({"schema": "2.0", "stages": lock}))
        return self.commit()

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def experiment(self, name, **settings):
        """The same as an experiment of the commit at main, which stays."""
        commit, base = self.record(**settings), self.git("rev-parse", "main~1")
        self.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)
        self.git("reset", "-q", "--hard", "main~1")
        return commit

    def predictions(self, skill, seed, rows):
        """The bytes of a parquet file: (N, ...) of other rows for another ``rows``."""
        y = np.random.default_rng(0).permutation(np.resize(CLASSES, N))
        random = np.random.default_rng(seed)
        probabilities = random.dirichlet(np.ones(3), N)
        probabilities[np.arange(N), np.searchsorted(CLASSES, y)] += skill
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        numbers = np.arange(N) + (0 if rows == "rows" else N // 2)
        named = {f"probability_{name}": column for name, column in zip(CLASSES, probabilities.T, strict=True)}
        frame = pd.DataFrame(
            {"row": numbers, "row_hash": numbers.astype("uint64"), "actual": y,
             "predicted": CLASSES[probabilities.argmax(axis=1)]} | named
        )  # fmt: skip
        return frame.to_parquet(index=False)
