"""Draw a folder of scenes and figures with their truth."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from harness.errors import DocvlmError
from harness.scenes.folder import draw_all, write_scenes
from harness.scenes.generator import SIDE

_EPILOG = """\
writes into OUT
  scene-0000.webp ...   pictures of objects, lossless
  figure-0000.webp ...  pictures to be read: charts, flows, calculations, code
  scenes.jsonl          one line a picture: its file, the SHA-256 of that, and its truth
  scenes.json           this command's arguments and the versions that decide the pixels

Picture i of a seed is the same whatever the counts are: strata and settings of scenes, and kinds of figures, alternate.

example
  python -m harness.scenes --count 100 --figures 24 --seed 2025 my-scenes
"""


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.scenes",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Draw pictures of objects in settings, and figures, whose truth is known by construction.",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write; made if missing, must be empty")
    parser.add_argument("--count", type=_whole, required=True, metavar="N", help="how many scenes")
    parser.add_argument("--figures", type=_whole, default=0, metavar="N", help="how many figures (default: 0)")
    parser.add_argument("--seed", type=int, required=True, metavar="S", help="which series; any whole number")
    parser.add_argument("--side", type=_whole, default=SIDE, metavar="PX", help=f"height and width (default: {SIDE})")
    parser.add_argument("--force", action="store_true", help="replace the scenes that an earlier run left in OUT")
    options = parser.parse_args(arguments)
    if not options.count + options.figures:
        parser.error("nothing to draw: give --count or --figures")
    if options.side < SIDE // 2:
        parser.error(f"--side: a picture needs at least {SIDE // 2} pixels")
    chosen = {"count": options.count, "figures": options.figures, "seed": options.seed, "side": options.side}
    given = " ".join(f"--{name} {value}" for name, value in chosen.items())
    pictures = draw_all(options.seed, options.count, options.figures, options.side)
    try:
        size = write_scenes(
            tqdm(pictures, total=options.count + options.figures, unit="picture", disable=None),
            options.out,
            recipe={"command": f"python -m harness.scenes {given}", **chosen},
            force=options.force,
        )
    except DocvlmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.count} scenes and {options.figures} figures, {size / 1e6:.1f} MB, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
