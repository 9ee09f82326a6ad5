"""Read data sets of Hugging Face's `datasets` as records of recordings.

The library is an optional dependency: ``pip install "afpt-plugin[datasets]"``.
It does not decode audio here, which would need torchcodec. Recordings come as
bytes and are decoded like every other file.

Authors
 * The afpt_plugin developers 2026
"""

from pathlib import Path

from tqdm import tqdm

from afpt_plugin.data.tables import text_of
from afpt_plugin.errors import InputError, refuse_unwritable
from afpt_plugin.files import replacing

# Files that `save_to_disk` writes beside the data.
MARKERS = ("dataset_dict.json", "state.json")


def is_saved(path):
    """Whether a folder was written by ``save_to_disk``.

    Example
    -------
    >>> is_saved("no/such/folder")
    False
    """
    return any(Path(path, marker).is_file() for marker in MARKERS)


def read_hf_dataset(source, folder, columns):
    """Read a data set, from the hub or from disk.

    Arguments
    ---------
    source : str
        ``user/name``, ``user/name:configuration``, or a folder.
    folder : str or pathlib.Path
        Recordings are written to a subfolder of this folder, each once.
    columns : dict
        See `afpt_plugin.data.own_data.read_own_data`; by default, ``path``
        means the only column of audio.

    Returns
    -------
    records : list of dict
        Each has ``path``, ``ID``, ``label`` (a list), ``place`` and what else
        the data set states.
    class_names : list of str or None
        In the data set's own order, or None if it has none.

    Raises
    ------
    InputError
        If the data set cannot be loaded, or lacks the columns.
    """
    splits = _load(source)
    from datasets import Value

    records, class_names = [], None
    for split, data in splits.items():
        names = _find_columns(source, data, columns)
        own = {n: theirs for n, theirs in names.items() if n != "path"}
        kinds = {n: data.features[theirs] for n, theirs in own.items()}
        # Where a row has a list of labels, the kind of one label.
        kinds["label"] = getattr(kinds["label"], "feature", kinds["label"])
        class_names = getattr(kinds["label"], "names", class_names)
        for name, kind in kinds.items():
            type_ = getattr(kind, "dtype", "lists or fields")
            is_name = hasattr(kind, "names") or "string" in type_
            if not (is_name or name != "label" and isinstance(kind, Value)):
                raise InputError(
                    f"{source}: the column {own[name]} holds no names "
                    f"({type_}); {_columns_of(data)}"
                )
        table = data.select_columns(list(own.values()))
        paths = _write_recordings(data, names["path"], split, folder)
        for number, (path, row) in enumerate(
            zip(paths, table.to_list(), strict=True)
        ):
            place = f"{split}, row {number}"
            record = {n: _texts(kinds[n], row[own[n]]) for n in own}
            label = record.pop("label")
            record = {n: "|".join(texts) for n, texts in record.items()}
            record |= {
                "label": label,
                "place": place,
                "ID": f"{split}-{number:06d}",
            }
            if path is None:
                record["problem"] = "no audio"
            # A single split does not say what is tested.
            if len(splits) > 1:
                record.setdefault("split", split)
            records.append({**record, "path": str(path)})
    return records, class_names


def _load(source):
    """Load a data set as a dict of name to split."""
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"{source}: a data set of Hugging Face needs the library datasets: "
            'pip install "afpt-plugin[datasets]"'
        ) from error
    try:
        if is_saved(source):
            found = datasets.load_from_disk(source)
        else:
            name, _, configuration = source.partition(":")
            found = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # damaged files may raise anything
        reason = " ".join(str(error).split())
        start = "" if is_saved(source) else "no such file or folder, and "
        raise InputError(
            f"{source}: {start}as a data set of Hugging Face it cannot be "
            f"loaded ({type(error).__name__}: {reason:.300})"
        ) from error
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or "all"): found}
    return found


def _find_columns(source, data, columns):
    """Map our names to a split's columns; leave out those that it lacks."""
    from datasets import Audio

    audio = [n for n, kind in data.features.items() if isinstance(kind, Audio)]
    names = {
        name: columns.get(name, name)
        for name in ("label", "fold", "source", "split")
        if name in columns or name in data.column_names or name == "label"
    }
    names["path"] = columns.get(
        "path", audio[0] if len(audio) == 1 else "audio"
    )
    missing = [n for n in names.values() if n not in data.column_names]
    if missing:
        raise InputError(
            f"{source}: there is no column {', '.join(missing)}; "
            f"{_columns_of(data)}"
        )
    return names


def _columns_of(data):
    """Describe a data set's columns, for messages."""
    return (
        f"its columns are {', '.join(data.column_names)}: choose with columns, "
        "e.g. label: category"
    )


def _texts(kind, value):
    """Return a row's labels, or another value, as a list of texts."""
    values = value if isinstance(value, list) else [value]
    if hasattr(kind, "int2str"):
        # -1 and None mean that the row is not labeled.
        return [
            kind.int2str(v) if v is not None and v >= 0 else "" for v in values
        ]
    return [part for v in values for part in text_of(v).split("|")]


def _write_recordings(data, column, split, folder):
    """Write a split's recordings that do not exist yet.

    Returns the path of each, or None where there is no audio.
    """
    from datasets import Audio

    raw = data.select_columns([column])
    try:
        raw = raw.cast_column(column, Audio(decode=False))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"the column {column} holds no recordings "
            f"({data.features[column]!r:.60}); {_columns_of(data)}"
        ) from error
    place = Path(folder, "recordings", data._fingerprint)
    with refuse_unwritable(place):
        place.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in tqdm(range(len(raw)), f"unpacking {split}", disable=None):
        path = place / f"{split}-{number:06d}"
        if not path.exists():
            found = raw[number][column] or {}
            if found.get("bytes") is not None:
                with refuse_unwritable(path), replacing(path) as part:
                    part.write_bytes(found["bytes"])
            else:
                # The audio is a file beside the data set, or missing.
                path = found.get("path")
        paths.append(path)
    return paths
