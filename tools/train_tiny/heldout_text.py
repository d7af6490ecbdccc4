"""Write the held-out text that is kept with the model.

Usage: heldout_text.py WORKDIR OUT.txt

Only files under the PSF licence, so that one notice covers the text: two modules and two chapters of the Python manual.
"""

import json
import pathlib
import sys

WANTED = ["asyncio/streams.py", "library/colorsys.rst.txt", "poplib.py", "library/concurrent.futures.rst.txt"]


def main():
    work, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    texts = {}
    with open(work / "heldout.jsonl") as lines:
        for line in lines:
            d = json.loads(line)
            texts.update({w: d["text"] for w in WANTED if d["name"].endswith("/" + w) and d["licence"] == "PSF-2.0"})
    target.write_text("\n".join(texts[w] for w in WANTED))


if __name__ == "__main__":
    main()
