"""The output of `afpt classify`: tables, their facts, and existing rows.

Authors
 * The afpt_plugin developers 2026
"""

import json
import math
import os
from contextlib import suppress
from hashlib import sha256

from afpt_plugin.commands.classify_events import (
    number,
    relative_name,
    rows_of_events,
    rows_of_windows,
    table_text,
)
from afpt_plugin.commands.classify_table import Table
from afpt_plugin.errors import InputError
from afpt_plugin.files import write_if_changed
from afpt_plugin.scoring.detections import FORMATS, HEADERS, write_labels

#: The flag of a recording that is none of the classes
NONE = "none of these"


class Output:
    """The tables of a command.

    The table of scores gets a recording's row last, so if the row is there, the
    other tables have theirs, too.

    Arguments
    ---------
    path : pathlib.Path
        The table of scores.
    facts : dict
        What the tables depend on, as JSON values.
    """

    def __init__(self, path, facts):
        self.path, self.facts = path, facts
        #: Number of given recordings that failed.
        self.n_errors = 0
        self._facts_path = path.with_name(f"{path.name}.json")
        self._states, self._n_old_errors, self._grew = {}, 0, False
        times = dict.fromkeys(("start", "end"), "float64")
        columns = {"file": "string", "seconds": "float64"}
        columns |= {"error": "string", "flag": "string"}
        if facts["reject"]:
            columns |= {"margin": "float32"}
        if facts["present_above"] is not None:
            columns |= {"present": "string"}
        for place in range(1, facts["top"] + 1):
            columns |= {f"class_{place}": "string", f"score_{place}": "float32"}
        self._scores = Table(path, columns)
        #: Maps names to the tables other than the scores.
        self._beside = {}
        if facts["frames"]:
            columns = {"file": "string", "start": "float64"}
            columns |= {"center": "float64"}
            columns |= dict.fromkeys(facts["class_names"], "float32")
            self._beside["frames"] = self._table("frames", columns)
        if facts["windows"]:
            columns = {"file": "string", **times, "class": "string"}
            columns |= {"score": "float32"}
            for name in ("windows", "segments"):
                self._beside[name] = self._table(name, columns)
        self._labels = None  # a file of labels, or a folder of them
        if facts.get("format") == "dcase":
            columns = dict.fromkeys(HEADERS["dcase"], "string")
            place = path.with_name(facts["events"])
            self._beside["events"] = Table(place, columns)
        elif "events" in facts:
            self._labels = path.with_name(facts["events"])

    def _table(self, name, columns):
        path = self.path
        path = path.with_name(f"{path.stem}.{name}{path.suffix}")
        return Table(path, columns)

    def _name(self, table, name):
        """Return a recording's name in a table."""
        if table is self._beside.get("events"):
            return relative_name(name, self.facts)
        return name

    def begin(self, files, overwrite):
        """Check the existing output, and find the recordings to score.

        Arguments
        ---------
        files : dict
            Maps each recording to a text that differs if it has changed.
        overwrite : bool
            Whether to replace existing output.

        Returns
        -------
        list of str
            The recordings to score.

        Raises
        ------
        InputError
            If there is output that was not made with these facts.
        """
        found = None
        with suppress(OSError, ValueError):
            found = json.loads(self._facts_path.read_text(encoding="utf-8"))
        found = found if isinstance(found, dict) else {}
        if overwrite:
            self._remove("export_fingerprint" in found)
            found = {}
        rows = self._check(found)
        given = {table_text(path): state for path, state in files.items()}
        states, is_whole = found.get("recordings"), "n_errors" in found
        states = states if isinstance(states, dict) else {}
        # Retry failed recordings, unless this continues the same command.
        again = {
            name
            for name, failed in rows.items()
            if name in given
            and (states.get(name) != given[name] or (failed and is_whole))
        }
        kept = [name for name in rows if name not in again]
        missing = [f for f in files if table_text(f) not in set(kept)]
        self._n_old_errors = sum(rows[n] for n in kept if n not in given)
        self.n_errors = sum(rows[name] for name in kept if name in given)
        # Kept recordings that are not among the given ones come first.
        order = [name for name in kept if name not in given] + list(given)
        self._states = {
            name: given.get(name, states.get(name)) for name in order
        }
        if missing or not is_whole:
            self._keep(kept)
            self._grew = bool(kept)
            self._write_facts({})
            for table in (self._scores, *self._beside.values()):
                table.add([])
            if not missing:
                self.finish()
        else:
            self._scores.finish(has_grown=False)
        return missing

    def _check(self, found):
        """Return the existing recordings, and whether each failed."""
        tables = [self._scores, *self._beside.values()]
        existing = [table.path for table in tables if table.exists()]
        labels = self._labels
        if labels and (
            any(labels.iterdir()) if labels.is_dir() else labels.exists()
        ):
            existing.append(labels)
        if not existing:
            return {}
        ways_out = "give --overwrite, or another --output"
        for name, value in self.facts.items():
            if found.get(name) != value:
                raise InputError(
                    f"{existing[0]} exists, but {self._facts_path} does not "
                    f"say that this command made it ({name} differs); "
                    f"{ways_out}"
                )
        rows = {
            name: bool(self._scores.read(row)[2])
            for name, _, row in self._scores.scan()
        }
        lacking = [table.path for table in tables if not table.exists()]
        if labels and not labels.exists() and not all(rows.values()):
            lacking.append(labels)
        # Do not replace the remaining files, which a user may have edited.
        if lacking and (rows or self.path in lacking):
            raise InputError(
                f"{existing[0]} exists, but {lacking[0]} is missing; {ways_out}"
            )
        return rows

    def _remove(self, is_ours):
        """Remove the tables; label files that are not rewritten stay."""
        labels = self._labels
        if labels and labels.is_dir() and any(labels.iterdir()) and not is_ours:
            raise InputError(
                f"{labels} exists, and `afpt classify` did not make it; give "
                "another --output"
            )
        if labels and not labels.is_dir():
            labels.unlink(missing_ok=True)
        for table in (*self._beside.values(), self._scores):
            table.remove()

    def _keep(self, names):
        for table in (self._scores, *self._beside.values()):
            if table.exists():
                table.keep([self._name(table, name) for name in names])

    def _write_facts(self, more):
        facts = {**self.facts, **more, "recordings": self._states}
        text = json.dumps(facts, indent=2) + "\n"
        write_if_changed(self._facts_path, text)

    def add(self, classifier, paths, results):
        """Write a batch's rows, from the results of `Scorer`."""
        rows = {name: [] for name in self._beside}
        scores, labels = [], []
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, Exception):
                self.n_errors += 1
                scores.append(_failure(path, result))
                continue
            found, flags = result
            if self.facts["reject"] and "silent" not in flags:
                (none,) = classifier.rejection.rejects(
                    found.mean_margin()[None]
                )
                flags = flags + [NONE] * none
            scores.append(self._scored(classifier, path, found, flags))
            for name, more in self._more(classifier, path, found, flags):
                if name == "labels":
                    labels.append((path, more))
                else:
                    rows[name] += more
        for name, table in self._beside.items():
            table.add(rows[name])
        for path, own in labels:
            place = self._labels
            suffix = FORMATS[self.facts["format"]]
            if place.suffix.lower() != suffix:
                place = place / relative_name(path, self.facts)
                name = os.fsencode(place.name)
                if len(name) + len(suffix) > 255:  # the limit of file systems
                    name = name[:200] + sha256(name).hexdigest()[:8].encode()
                place = place.with_name(os.fsdecode(name) + suffix)
            write_labels(place, self.facts["format"], own)
        width = len(self._scores.columns)
        self._scores.add(row + [None] * (width - len(row)) for row in scores)

    def _scored(self, classifier, path, found, flags):
        """Make the row of scores; silence and `NONE` get no class."""
        row = [table_text(path), round(found.seconds, 3), None]
        row.append("|".join(flags) or None)
        if "silent" in flags:
            return row
        if self.facts["reject"]:
            row.append(number(found.mean_margin()))
        if NONE in flags:
            return row
        best = classifier.rank(found.mean_logits()[None], self.facts["top"])
        if self.facts["present_above"] is not None:
            (present,) = classifier.present(best.out_prob)
            row.append("|".join(present) or None)
        values = best.score[0].exp()  # [top]
        for label, value in zip(best.text_lab[0], values, strict=True):
            row += [label, number(value)]
        return row

    def _more(self, classifier, path, found, flags):
        """Yield the names and rows of other tables, or of a file of labels."""
        import torch

        name, silent = table_text(path), "silent" in flags
        if self.facts["frames"] and not silent:
            logits, start, center = found.frames[:3]
            columns = [
                *(time.round(decimals=3).tolist() for time in (start, center)),
                *logits.T.numpy().astype(str),
            ]
            yield "frames", [[name, *row] for row in zip(*columns, strict=True)]
        if self.facts["windows"] and not silent:
            both = rows_of_windows(
                found,
                classifier.class_names,
                classifier.clip_samples / classifier.sample_rate,
                self._rank(classifier, found),
            )
            for table, rows in zip(("windows", "segments"), both, strict=True):
                yield table, [[name, *row] for row in rows]
        if "events" in self.facts:
            frames = classifier.frame_probabilities(found.frames)
            if silent or NONE in flags:
                nothing = torch.full_like(frames.logits, math.nan)
                frames = frames._replace(logits=nothing)
            rows = rows_of_events(
                path, frames, self.facts, classifier.sample_rate
            )
            yield "labels" if self._labels else "events", rows

    def _rank(self, classifier, found):
        """Compute `Scores` of the windows."""
        if not self.facts["reject"]:
            return classifier.rank(found.logits)
        rejected = classifier.rejection.rejects(found.margin)
        return classifier.name_none(found.logits, rows=rejected)

    def finish(self):
        """Finish the tables, and mark the output as complete."""
        if self._grew:
            self._keep(self._states)
        for table in (*self._beside.values(), self._scores):
            table.finish()
        counts = {
            "n_recordings": len(self._states),
            "n_errors": self.n_errors + self._n_old_errors,
        }
        self._write_facts(counts)


def _failure(path, error):
    message = str(error).removeprefix(f"{path}: ")
    if not isinstance(error, InputError):
        message = f"{type(error).__name__}: {message}"
    return [table_text(path), None, table_text(message)]
