"""``python -m lockstep rebuild [REV]``: prove that a commit's outputs follow from its raw data, code and settings.

The commit (by default HEAD) is cloned into a temporary folder, with only the raw tables taken along. Everything is
built anew and compared with the commit's dvc.lock. If all is the same, a record of it is written: commit, digests of
outputs and inputs, versions, machine, seconds. 'python -m lockstep verify --record FILE' compares files with it.

Exit code: 0 every output has the recorded bytes; 1 one has not.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.files import Outputs
from lockstep.provenance.rebuild_record import encode_record
from lockstep.provenance.rebuilding import RebuiltStage, rebuild


def main(argv: Sequence[str] | None = None) -> int:
    """Rebuild, print the table, write the record if all is the same."""
    parser = command_parser("rebuild", __doc__)
    parser.add_argument("revision", nargs="?", metavar="REV", help="a commit, branch, tag or experiment; default: HEAD")
    parser.add_argument(
        "--output", type=Path, default=Path("rebuild.json"), metavar="FILE", help="the record; default: %(default)s"
    )
    args = parser.parse_args(argv)
    found = rebuild(args.revision, lambda stage: print(f"rebuilding {stage}", file=sys.stderr))
    print("\n".join([*table(found.stages), *found.explanation]))
    record = found.record
    if record is None:
        different = sum(bool(stage.wrong) for stage in found.stages)
        print(f"Not reproduced: {different} of {len(found.stages)} stages of {found.commit} differ.")
        return 1
    with Outputs() as outputs:
        outputs.write(args.output, lambda temporary: temporary.write_bytes(encode_record(record)))
    print(f"Reproduced: every output of {found.commit} has the recorded bytes. Record: {args.output}")
    return 0


def table(stages: Sequence[RebuiltStage]) -> list[str]:
    """A line for each stage, below a header."""
    width = max(len("stage"), *(len(stage.name) for stage in stages))
    return [f"{'stage':<{width}}  outputs  same bytes  seconds"] + [
        f"{stage.name:<{width}}  {stage.outputs:>7}  {stage.outputs - len(stage.wrong):>10}  {stage.seconds:>7.1f}"
        for stage in stages
    ]
