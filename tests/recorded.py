"""A tiny repository that is made by hand, as if DVC had run it: two stages, one raw table. Nothing is executed."""

import hashlib
import subprocess

import yaml

TOY = {"load": {"path": "data/raw/toy.csv"}, "train": {"seed": 1, "hyperparameters": {"a": 2}}}
PARAMS = {"problems": {"toy": TOY}}
STAGES = {
    "load": {
        "cmd": "python -m stages.load --problem '${key}'",
        "params": ["problems.${key}.load"],
        "deps": ["${item.load.path}", "code/load.py"],
        "outs": ["data/loaded/${key}.parquet"],
    },
    "train": {
        "cmd": "python -m stages.train --problem '${key}'",
        "params": ["problems.${key}.train"],
        "deps": ["data/loaded/${key}.parquet", "code/train.py"],
        "outs": ["models/${key}/m_v1.joblib"],
        "metrics": [{"metrics/${key}.json": {"cache": False}}],
    },
}
CONTENT = {
    "data/raw/toy.csv": "a,b\n1,2\n",
    "code/load.py": "# load\n",
    "code/train.py": "# train\n",
    "data/loaded/toy.parquet": "parquet\n",
    "models/toy/m_v1.joblib": "model\n",
    "metrics/toy.json": "{}\n",
}


def locked(path, text):
    """The entry of dvc.lock for a file with this text."""
    return {
        "path": path,
        "hash": "md5",
        "md5": hashlib.md5(text.encode()).hexdigest(),
        "size": len(text.encode()),
    }


def lock_of(content=CONTENT, params=PARAMS):
    """What DVC would write into dvc.lock for that content and those settings."""
    own = params["problems"]["toy"]
    entry = {path: locked(path, text) for path, text in content.items()}
    return {
        "schema": "2.0",
        "stages": {
            "load@toy": {
                "cmd": "python -m stages.load --problem 'toy'",
                "deps": [entry["code/load.py"], entry["data/raw/toy.csv"]],
                "params": {"params.yaml": {"problems.toy.load": own["load"]}},
                "outs": [entry["data/loaded/toy.parquet"]],
            },
            "train@toy": {
                "cmd": "python -m stages.train --problem 'toy'",
                "deps": [entry["code/train.py"], entry["data/loaded/toy.parquet"]],
                "params": {"params.yaml": {"problems.toy.train": own["train"]}},
                "outs": [entry["metrics/toy.json"], entry["models/toy/m_v1.joblib"]],
            },
        },
    }


def make(folder, top=None):
    """Write the repository into ``folder``, with a git repository around it but no commit; its root is ``top``, by
    default the same folder."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text(f"[core]\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n")
    (folder / ".dvcignore").write_text("")
    for path, text in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        if not path.startswith(("code/", "metrics/")):
            keep(folder, text)
    raw = locked("toy.csv", CONTENT["data/raw/toy.csv"])
    (folder / "data/raw/toy.csv.dvc").write_text(yaml.safe_dump({"outs": [raw]}))
    write(folder, "params.yaml", PARAMS)
    write(folder, "dvc.yaml", {"stages": {n: {"foreach": "${problems}", "do": do} for n, do in STAGES.items()}})
    write(folder, "dvc.lock", lock_of())
    subprocess.run(["git", "init", "-q", "-b", "main", str(top or folder)], check=True)
    return folder


def keep(folder, text):
    """Put a file's text into the cache, as DVC does."""
    path = object_of(folder, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o444)


def object_of(folder, text):
    """Where the cache has it."""
    md5 = hashlib.md5(text.encode()).hexdigest()
    return folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def write(folder, name, content):
    (folder / name).write_bytes(dump(content))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def dump(content):
    """YAML without anchors, as DVC writes it."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False).encode()
