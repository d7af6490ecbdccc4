"""Collect the training text from Debian packages.

Usage: get_data.py WORKDIR

Downloads the packages of sources.tsv with apt-get, unpacks them, keeps Python sources and documentation sources, and
writes WORKDIR/train.jsonl, WORKDIR/heldout.jsonl (one file a line: package, name, text) and WORKDIR/data.tsv (what was
used, for the model card). The split is by whole files, decided by a hash of the name, so that it is the same every time.
"""

import gzip
import hashlib
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# A permissive package may carry single files under other terms. Any file that names such a licence is left out.
# False alarms only cost a little text.
OTHER_TERMS = re.compile(r"\b[AL]?GPL|general\s+public\s+licen[cs]e|mozilla public|creative commons|\bCC[- ]BY|all rights "
                         r"reserved\s*$", re.I | re.M)
SKIPPED_FOLDERS = re.compile(r"/(tests?|testing|locale|_vendor|_vendored|vendor|extern|externals|packages|idle_test|lib2to3"
                             r"|encodings|cldr|conf/locale|pydoc_data|unicode_sets|lexers|_lilypond)/")
HELD_OUT_PER_MILLE = 15


def sources():
    rows = (line.split("\t") for line in (HERE / "sources.tsv").read_text().splitlines() if line and line[0] != "#")
    return {package: licence for package, licence in rows}


def download(work, packages):
    debs = work / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    if not any(debs.glob("*.deb")):
        subprocess.run(["apt-get", "download", *packages], cwd=debs, check=True)
    found = {}
    for deb in sorted(debs.glob("*.deb")):
        name, version = deb.name.split("_")[:2]
        if name in packages:
            found[name] = (deb, version.replace("%3a", ":"))
    return found


def unpack(work, name, deb):
    root = work / "unpacked" / name
    if not root.exists():
        root.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(deb), str(root)], check=True)
    return root


def read(path):
    """The text of one file in the form that is trained on, or None when it should not be used."""
    relative = str(path)
    if path.is_symlink() or not path.is_file() or SKIPPED_FOLDERS.search(relative):
        return None
    kind = re.search(r"\.(py|rst|rst\.txt|txt)(\.gz)?$", relative)
    if not kind or (kind[1] == "txt" and "_sources" not in relative and "/doc/" not in relative):
        return None
    raw = path.read_bytes()
    if kind[2]:
        raw = gzip.decompress(raw)
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n").expandtabs(4)
    except UnicodeDecodeError:
        return None
    text = re.sub(r"\A#!.*\n|\A#.*coding[:=].*\n", "", text)
    text = re.sub(r"[ \f]+$", "", text, flags=re.M)
    text = re.sub(r"\n{4,}", "\n\n\n", text).strip() + "\n"
    return text if is_prose_or_code(text) else None


def is_prose_or_code(text):
    if len(text) < 400 or OTHER_TERMS.search(text):
        return False
    lines = text.split("\n")
    letters = sum(c.isalpha() or c.isspace() for c in text)
    foreign = sum(ord(c) > 127 for c in text)
    # Tables of numbers, minified files and generated data teach nothing.
    return letters > 0.72 * len(text) and foreign < 0.01 * len(text) and max(map(len, lines)) < 1000


def main():
    work = pathlib.Path(sys.argv[1])
    licences = sources()
    debs = download(work, licences)
    seen = set()
    used = []
    with open(work / "train.jsonl", "w") as train, open(work / "heldout.jsonl", "w") as heldout:
        for package, licence in licences.items():
            deb, version = debs[package]
            root = unpack(work, package, deb)
            count = size = 0
            for path in sorted(root.rglob("*")):
                text = read(path)
                digest = hashlib.sha256((text or "").encode()).hexdigest()
                if text is None or digest in seen:
                    continue
                seen.add(digest)
                name = str(path.relative_to(root))
                bucket = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 1000
                out = heldout if bucket < HELD_OUT_PER_MILLE else train
                out.write(json.dumps({"package": package, "name": name, "licence": licence, "text": text}) + "\n")
                count, size = count + 1, size + len(text.encode())
            used.append((package, version, licence, count, size))
    with open(work / "data.tsv", "w") as out:
        out.writelines("\t".join(map(str, row)) + "\n" for row in used)
    print(f"{sum(r[3] for r in used)} files, {sum(r[4] for r in used)} bytes")


if __name__ == "__main__":
    main()
