"""Checkpoints: one file, written whole or not at all, and believed only if it is what was written.

A line that says what it is, with the SHA-256 and the length of what follows: an npz of arrays, one of which holds the
rest as JSON. Nothing in it is code: objects are lossopt's own, made again by their constructors.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossopt._component import Component
from lossopt.losses import LOSSES
from lossopt.optimizers import OPTIMIZERS
from lossopt.penalties import PENALTIES
from lossopt.ranking import RANKINGS
from lossopt.schedules import SCHEDULES

Array = NDArray[Any]
Classes = Mapping[str, type]

_NAME, _FORMAT = b"lossopt checkpoint ", 1
_TABLES: tuple[Mapping[str, type], ...] = (LOSSES, RANKINGS, OPTIMIZERS, PENALTIES, SCHEDULES)
_KNOWN = {cls.__name__: cls for table in _TABLES for cls in table.values()}


def _digest(payload: bytes) -> bytes:
    # here, and not above: it brings OpenSSL, which most who import lossopt never need
    import hashlib

    return hashlib.sha256(payload).hexdigest().encode()


def write(path: str | Path, content: Mapping[str, Any], more: Classes) -> None:
    """Put content in place of the file at path, or leave that as it is; `more` are classes it may hold besides.

    Raises
    ------
    OSError
        The file could not be written; what stood there before still stands there.
    TypeError
        The content holds something that no checkpoint can.
    """
    arrays: list[Array] = []
    path = Path(path)
    text = json.dumps(_packed(content, arrays, _KNOWN | dict(more), path.name))
    room = io.BytesIO()
    entries: dict[str, Any] = {f"a{i}": x for i, x in enumerate(arrays)}
    np.savez(room, meta=np.frombuffer(text.encode(), np.uint8), **entries)
    payload = room.getvalue()
    head = b"%s%d %s %d\n" % (_NAME, _FORMAT, _digest(payload), len(payload))
    beside = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(head)
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if os.name == "posix":
        # the name is on the disk when its folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: str | Path, more: Classes) -> Any:
    """What `write` was given.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        It is no checkpoint, is damaged, or holds what this lossopt does not know.
    """
    import zipfile

    data = Path(path).read_bytes()
    head, _, payload = data.partition(b"\n")
    words = head.removeprefix(_NAME).split(b" ")
    if not head.startswith(_NAME) or len(words) != 3:
        raise ValueError(f"{path} is no checkpoint of lossopt, or its beginning is damaged")
    if words[0] != b"%d" % _FORMAT:
        raise ValueError(f"{path} has format {words[0].decode(errors='replace')}; this lossopt reads {_FORMAT}")
    if words[1:] != [_digest(payload), b"%d" % len(payload)]:
        raise ValueError(f"{path} is damaged: its contents are not what was written")
    try:
        with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        content = json.loads(arrays["meta"].tobytes())
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no checkpoint of lossopt: {error}") from None
    return _unpacked(content, arrays, _KNOWN | dict(more), str(path))


def _packed(x: Any, arrays: list[Array], known: Classes, where: str) -> Any:
    """x for JSON, its arrays in `arrays`."""
    if x is None or isinstance(x, (bool, str)):
        return x
    if isinstance(x, (int, np.integer)):
        return int(x)
    if isinstance(x, (float, np.floating)):
        return float(x) if math.isfinite(x) else {"float": repr(float(x))}
    if isinstance(x, np.ndarray) and x.dtype.kind in "fiubSU":
        arrays.append(x)
        return {"array": f"a{len(arrays) - 1}"}
    if isinstance(x, (list, tuple)):
        parts = [_packed(part, arrays, known, f"{where}[{i}]") for i, part in enumerate(x)]
        return parts if isinstance(x, list) else {"tuple": parts}
    if isinstance(x, Mapping):
        pairs = [[_packed(k, arrays, known, where), _packed(v, arrays, known, f"{where}: {k}")] for k, v in x.items()]
        return {"dict": pairs}
    if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
        return {"dtype": np.dtype(x).name}
    if isinstance(x, Path):
        return {"path": str(x)}
    if isinstance(x, Component) and known.get(type(x).__name__) is type(x):
        arguments = {name: _packed(v, arrays, known, f"{where}: {name}") for name, v in x._arguments().items()}
        return {"class": type(x).__name__, "arguments": arguments}
    raise TypeError(f"{where} holds {x!r:.60}, which no checkpoint can")


def _unpacked(x: Any, arrays: Mapping[str, Array], known: Classes, where: str) -> Any:
    if isinstance(x, list):
        return [_unpacked(part, arrays, known, where) for part in x]
    if not isinstance(x, dict):
        return x
    match x:
        case {"float": text}:
            return float(text)
        case {"array": name}:
            return arrays[name]
        case {"tuple": parts}:
            return tuple(_unpacked(part, arrays, known, where) for part in parts)
        case {"dict": pairs}:
            return {_unpacked(k, arrays, known, where): _unpacked(v, arrays, known, where) for k, v in pairs}
        case {"dtype": name}:
            return np.dtype(name).type
        case {"path": text}:
            return Path(text)
        case {"class": name, "arguments": arguments}:
            if name not in known:
                raise ValueError(f"{where} holds a {name}, which this lossopt does not know")
            return known[name](**{k: _unpacked(v, arrays, known, where) for k, v in arguments.items()})
    raise ValueError(f"{where} holds {x!r:.60}, which this lossopt does not know")
