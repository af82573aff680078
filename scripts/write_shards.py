"""Writes a folder of images as shards, which data=shards streams.

    uv run --extra shards python scripts/write_shards.py FOLDER OUT [--seed 0] [--shard-bytes 67108864]
    diabolo train data=shards data.root=OUT

The folder is read as data=folder reads it; its files are copied as they are. OUT can be copied into a bucket.
"""

import argparse
import sys

from diabolo.data.shards import SHARD_BYTES, write_shards
from diabolo.errors import UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the folder of images")
    parser.add_argument("out", help="the folder of the shards, new or empty")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the order in which the images are spread over the shards"
    )
    parser.add_argument("--shard-bytes", type=int, default=SHARD_BYTES, help="bytes of a shard")
    given = parser.parse_args()
    try:
        counts = write_shards(given.folder, given.out, given.seed, given.shard_bytes)
    except UserError as error:
        print(f"write_shards: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{given.out}: " + ", ".join(f"{part} {count:,} images" for part, count in counts.items()))


if __name__ == "__main__":
    main()
