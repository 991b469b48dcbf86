"""`leakwarden crd`: the CustomResourceDefinitions, generated from the models."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from leakwarden.cli.errors import fail, say

COMMAND = "crd"


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        COMMAND,
        help="print or write the CustomResourceDefinitions",
        description="Print the CustomResourceDefinitions as YAML, or write one file each with -o.",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write the files into DIR")
    parser.add_argument(
        "--check", action="store_true", help="with -o: write nothing, exit 1 if a file in DIR differs from the models"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from leakwarden.api.crd import files

    generated = files()
    if arguments.output is None:
        if arguments.check:
            return fail(COMMAND, "--check needs -o DIR")
        print("---\n".join(generated.values()), end="")
        return 0
    code = 0
    for name, text in generated.items():
        path: Path = arguments.output / name
        if not arguments.check:
            arguments.output.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path)
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            say(COMMAND, f"{path} is not what the models say; run `leakwarden crd -o DIR`")
            code = 1
    return code
