"""``python -m lockstep export MODEL --format skops``: write a model as a file that runs no code when it is loaded.

A .joblib file is a pickle: loading it can run code that is in it. A .skops file names types, of which ``load_model``
takes only those that Lockstep's models are made of. Its predictions are the same, bit for bit, and so is the file
whenever the same model is exported. Whoever has no Lockstep loads it with skops.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import GivenModel, add_model, command_parser, given_model
from lockstep.deployment.exchange.boosters import libraries_in
from lockstep.deployment.exchange.model_loading import load_model
from lockstep.deployment.exchange.skops_file import dumps
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat
from lockstep.learning.model_file import sidecar_of
from lockstep.saving.sidecar import MODEL_LIBRARIES, read_about, read_trusted, sidecar


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file and its sidecar. Raises LockstepError; then nothing was written."""
    parser = command_parser("export", __doc__)
    add_model(parser, staged=True)
    parser.add_argument("--format", choices=["skops"], required=True, help="what to write")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write here (default: beside the model; of a stage: models/NAME/STAGE.skops)",
    )
    parser.add_argument("--sha256", metavar="HEX", help="the model's SHA-256, if nothing here records the file")
    args = parser.parse_args(argv)
    with given_model(args.model) as given:
        model = given.path
        output: Path = args.output or _place(given)
        if output.suffix != ".skops" or output.is_dir():
            raise SettingsError(f"-o {output}: give the name of a file that ends in .skops; load_model goes by that.")
        with heartbeat(f"writing {output}"):
            data = dumps(load_model(model, sha256=args.sha256))
        about = read_about(model) if sidecar_of(model).exists() else {}
        digest = hashlib.sha256(read_trusted(model, args.sha256)).hexdigest()
        about["made_from"] = {"file": model.name, "sha256": digest}
        if given.staged is not None:
            about["made_from"] |= {"commit": given.staged.commit, "version": given.staged.version}
    libraries = (*MODEL_LIBRARIES, *libraries_in(data), "skops")
    with Outputs() as outputs:
        outputs.write(output, lambda path: path.write_bytes(data))
        outputs.json(sidecar_of(output), sidecar(data, output.name, about, libraries))
    title = "" if given.staged is None else f"{given.staged.title}: "
    print(f"{title}{output}: {len(data):,} bytes, and {sidecar_of(output).name} beside it")
    return 0


def _place(given: GivenModel) -> Path:
    """Where the file goes by itself: beside the model; of a stage by the stage's name, since the workspace's model,
    which may be another, goes by the model's own."""
    if given.staged is None:
        return given.path.with_suffix(".skops")
    return Path(given.staged.file).with_name(f"{given.staged.stage.replace('/', '-')}.skops")
