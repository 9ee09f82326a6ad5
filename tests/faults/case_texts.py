"""Damaged options, YAML files, tables, manifests and results."""

import json

from case import Case
from damages import ANY, NO_FILES, in_place
from templates import CAPTIONS, NAMES, RECIPE, ROOT, RUN, TUNE, sound

NEW = ("recipe", "OwnData", *RECIPE, "--output_folder", "new")

#: What an option of a type cannot be.
WRONG = {
    "count": ("abc", "-1", "2.5", "9" * 40, ".nan", "True", "[1]", "{a: 1}"),
    "number": ("abc", "-1", "[0.1]", "{a: 1}", ".nan", "True", "''"),
    "flag": ("abc", "2", "null", "[True]"),
    "choice": ("abc", "1", "[all]", "{a: 1}"),
    "text": ("''", "'   '", "[a]", "{a: 1}", '"a\\0b"'),
    "object": ("abc", "1", "[1]", "{no_such: 1}"),
}
OPTIONS = {
    **dict.fromkeys(("seed", "number_of_epochs", "batch_size"), "count"),
    "allow_missing": "count",
    **dict.fromkeys(("valid_fraction", "lr", "max_grad_norm"), "number"),
    **dict.fromkeys(("skip_prep", "test_each_epoch"), "flag"),
    **dict.fromkeys(("classes", "selection", "transduction"), "choice"),
    **dict.fromkeys(("clap", "prompt_template", "captions"), "text"),
    **dict.fromkeys(("output_folder", "results_folder"), "text"),
    **dict.fromkeys(("opt_class", "train_loader_kwargs", "learner"), "object"),
}
OF_COMMANDS = (
    *("tune --epochs 0", "tune --epochs abc", "tune --epochs 1e3"),
    *("tune --seed -1", "tune --seed 99999999999999999999", "tune --n-ctx 0"),
    *("tune --n-ctx 4000000000", "tune --method none", "tune --clap maxi"),
    *("tune --device gpu", "tune --weights none.pth", "tune --shots none"),
    *("tune --prompt-template sound", "tune --columns a", "tune --epoch"),
    *("classify --top 0", "classify --top abc", "classify --batch-size -1"),
    *("classify --source none", "classify --output names.txt/b.csv"),
    *("classify --output scores.xls", "classify --output recordings"),
    *("classify --figure a.xyz", "classify --threshold abc --format dcase"),
    *("classify --device tpu", "classify --weights none.pth"),
)


def options():
    """Of the kind ``option``."""

    def case(name, *call, said=""):
        return Case("option", name, lambda _: call, "refused", said=said)

    for name, kind in OPTIONS.items():
        for value in WRONG[kind]:
            if (name, value) in {("captions", "'   '")}:
                continue
            call = _replaced(NEW, f"--{name}", value)
            yield case(f"--{name} {value:.20}", *call, said=name)
    for given in (
        *("--opt_class={betas: 3}", "--opt_class={lr: abc}"),
        *("--train_loader_kwargs={batch_size: 0}", "--sede=2"),
        *("--learner={n_ctx: -3}", "--learner={anchor: 2}"),
        *("--augment={norm: -1}", "--augment={norms: 1}"),
        *("--precision=fp13", "--device=gpu", "--own_data=[colour: a]"),
        *("--folds=[9]", "--source_folds=1", "--data_folder none"),
        *("--captions=none.csv", "--method_=a", "--clap=no/such/clap"),
        *("--clap=['a',", "--jit", "--auto_mix_prec", "--eval_precision=fp16"),
        "--optimizer_step_limit=abc",
    ):
        options = given.split(" ") if given[2:6] == "data" else [given]
        yield case(given, *_replaced(NEW, *options))
    for line in OF_COMMANDS:
        command, *rest = line.split()
        start = [*TUNE, "new"]
        if command == "classify":
            start = "classify recordings --source export --output scores.csv"
            start = start.split()
        yield case(line, "afpt", *start, *rest)


def yaml_files():
    """Of the kind ``YAML``: a recipe's own."""
    source = (ROOT / "recipes/OwnData/hparams.yaml").read_text()
    call = ("recipe", "OwnData", "mine.yaml", *NEW[3:])

    def case(name, text, right="refused", because=""):
        def make(folder):
            path = folder / "mine.yaml"
            if name in NO_FILES:
                in_place(name, path)
            else:
                data = text if isinstance(text, bytes) else text.encode()
                path.write_bytes(data)
            return call

        return Case("YAML", name, make, right, because)

    for name in NO_FILES:
        yield case(name, "")
    for name, text in (
        *(("empty", ""), ("blank", " \n\n"), ("a list", "- a\n- b\n")),
        *(("a text", "abc"), ("a number", "1"), ("zeros", bytes(500))),
        ("UTF-16", source.encode("utf-16")),
        ("Latin-1", (source + "# caf\xe9\n").encode("latin-1")),
        ("a NUL", source.replace("seed: 1", "seed: \0")),
        ("a tab", source.replace("    lr:", "\tlr:")),
        ("half", source[: len(source) // 2]),
        ("an open quote", source.replace('of {}"', "of {}")),
        ("an open bracket", source.replace("[0.9, 0.98]", "[0.9, 0.98")),
        ("a key twice", source + "seed: 2\n"),
        ("deep lists", source + "a: " + "[" * 5000 + "]" * 5000 + "\n"),
        ("deep maps", source + "a: " + "{a: " * 5000 + "}" * 5000 + "\n"),
        ("5,000 digits", source.replace("seed: 1", "seed: " + "9" * 5000)),
        (
            "0x and 5,000 digits",
            source.replace("seed: 1", f"seed: 0x{9**9999:x}"),
        ),
        ("a date", source.replace("seed: 1", "seed: 2020-13-45")),
        (
            "no such tag",
            source.replace("!new:torch", "!make:torch") + "a: !b c\n",
        ),
        (
            "no such class",
            source.replace("learners.PromptLearner", "learners.No"),
        ),
        ("no such module", source.replace("afpt_plugin.learners.P", "no.P")),
        ("no such !ref", source.replace("!ref <seed>", "!ref <sed>")),
        ("!ref to itself", source + "a: !ref <b>\nb: !ref <a>\n"),
        ("!include", source + "a: !include:none.yaml\n"),
        ("!apply that fails", source + "a: !apply:math.sqrt [-1]\n"),
        ("!apply that exits", source + "a: !apply:sys.exit [0]\n"),
        ("!!python", source + "a: !!python/name:os.system\n"),
        ("a placeholder", source.replace("lr: 0.002", "lr: !PLACEHOLDER")),
        ("an unknown alias", source + "a: *b\n"),
        ("a bomb", source + _bomb()),
    ):
        yield case(name, text)
    for name, text in (
        ("a byte order mark", b"\xef\xbb\xbf" + source.encode()),
        ("CRLF", source.replace("\n", "\r\n")),
        ("unknown options", source + "spare: 1\n"),
    ):
        yield case(name, text, "accepted", "it means the same")._replace(
            same_as_run="new"
        )


def _bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)
    ]
    return "\n".join(lines) + "\n"


#: Text files that no reader can make sense of.
NO_TEXT = {
    "empty": b"",
    "blank": b"\n \n\n",
    "zeros": bytes(300),
    "noise": ANY["noise"](CAPTIONS.encode()),
    "UTF-16": CAPTIONS.encode("utf-16"),
    "UTF-16 without a mark": CAPTIONS.encode("utf-16-le"),
    "Latin-1": CAPTIONS.replace("dog", "caf\xe9").encode("latin-1"),
    "one line of 10 MB": b"a" * 10**7,
}
HEAD = "caption,label\n"


def tables():
    """Of the kind ``table``: names, captions, labels, corpora."""

    def case(what, name, content, call, right="refused", because=""):
        def make(folder):
            path = folder / what
            path.unlink(missing_ok=True)
            if content in NO_FILES:
                in_place(content, path)
            else:
                data = content
                path.write_bytes(
                    data if isinstance(data, bytes) else data.encode()
                )
            return call

        return Case("table", f"{what}, {name}", make, right, because)

    tune = ("afpt", *TUNE, "new")
    zero = "tune --class-names names.txt --method zero_shot --device cpu"
    zero = ("afpt", *zero.split(), "--output", "new")
    captions = (*tune, "--captions", "captions.csv")
    labels = _replaced(NEW, "--data_folder", "labels.csv")
    mine = "mine corpus.csv --class-names names.txt --output mined.csv"
    mine = ("afpt", *mine.split())
    shots = "tune --shots labels.csv --method tip_adapter --output new"
    shots = ("afpt", *shots.split(), "--device", "cpu")
    everywhere = list(NO_TEXT.items())
    everywhere += [(n, n) for n in NO_FILES]
    for name, content in everywhere:
        yield case("names.txt", name, content, tune)
        yield case("captions.csv", name, content, captions)
        yield case("labels.csv", name, content, shots)
        yield case("corpus.csv", name, content, mine)
    for name, content in (
        *(("a NUL", "dog\nra\0in\n"), ("twice", "dog\nrain\ndog\n")),
        *(("one", "dog\n"), ("a pipe", "dog|cat\nrain\n")),
        ("other case", "dog\nDog\nrain\n"),
        ("NFC and NFD", "caf\u00e9\ncafe\u0301\n"),
        ("zero width", "dog\n\u200b\n"),
        ("right to left", "dog\n\u202egod\n"),
        ("a special token", "dog\n[SEP] rain\n"),
        ("a long line", "dog\n" + "a" * 500 + "\n"),
        ("a table", "mid,name\n/m/1,dog\n/m/2,rain\n"),
        ("CR", "dog\rrain\r"),
        ("half a character", b"dog\nrain \xed\xa0\x80\n"),
    ):
        yield case("names.txt", name, content, tune)
    for name, content in (
        ("a byte order mark", b"\xef\xbb\xbfdog\nrain\n"),
        ("CRLF", "dog\r\nrain\r\n"),
        ("blank lines", "\ndog\n\nrain\n\n"),
    ):
        yield case("names.txt", name, content, zero, "accepted", "two names")
    for name, content in (
        ("no header", CAPTIONS.removeprefix(HEAD)),
        *(("a header alone", HEAD), ("a column twice", "caption," + CAPTIONS)),
        ("a NUL", CAPTIONS.replace("number 0", "\0")),
        ("an open quote", HEAD + '"a dog,dog\n'),
        ("a quote inside", HEAD + 'a "dog"" barks",dog\n'),
        ("too many values", HEAD + "a dog, barking,dog\n"),
        ("too few values", HEAD + "a dog\n"),
        ("an empty caption", CAPTIONS + ",dog\n"),
        ("a blank caption", CAPTIONS + '"  ",dog\n'),
        ("an empty label", CAPTIONS + "a dog,\n"),
        ("a foreign label", CAPTIONS + "a cat,cat\n"),
        ("a contradiction", CAPTIONS + "same,dog\nsame,rain\n"),
        ("half", CAPTIONS[: len(CAPTIONS) // 2]),
        ("colons", CAPTIONS.replace(",", ":")),
        ("a value of 1 MB", HEAD + "a" * 2**20 + ",dog\n"),
    ):
        yield case("captions.csv", name, content, captions)
    rows = [
        f"recordings/{name}/{i}{j}.wav,{name}"
        for i, name in enumerate(NAMES)
        for j in range(2)
    ]
    good = "\n".join(["path,label", *rows]) + "\n"
    for name, content in (
        ("no column path", good.replace("path", "place", 1)),
        ("a column twice", good.replace("path,", "label,", 1)),
        ("a missing file", good + "none.wav,dog\n"),
        ("a NUL", good + "a\0.wav,dog\n"),
        ("a folder", good + "recordings,dog\n"),
        ("a text", good + "names.txt,dog\n"),
        ("two labels of a file", good + f"{rows[0][:-3]}rain\n"),
        ("an empty path", good + ",dog\n"),
        ("an empty label", good + "recordings/dog/00.wav,\n"),
        ("one class", good.replace("rain", "dog").replace("car horn", "dog")),
        ("a name of 5,000 letters", good + "a" * 5000 + ".wav,dog\n"),
        ("an open quote", good + '"a,dog\n'),
    ):
        yield case("labels.csv", name, content, shots)
        if name == "a missing file":
            yield case("labels.csv", f"{name}, tested", content, labels)
    for name, content in (
        ("no caption", "id,words\n1,a dog\n"),
        ("an open quote", 'caption\n"a dog\n'),
        ("a header alone", "caption\n"),
        ("too many values", "id,caption\n1,a,b\n"),
    ):
        yield case("corpus.csv", name, content, mine)


def manifests():
    """Of the kind ``manifest``: those of a run that --skip_prep believes."""
    call = ("recipe", "OwnData", *RECIPE, "--output_folder", "cut")
    call = (*call, "--skip_prep", "True")

    def case(name, file, change):
        def make(folder):
            path = folder / "cut/save" / file
            if change in NO_FILES:
                in_place(change, path)
            else:
                path.write_bytes(change(path.read_bytes()))
            return call

        return Case("manifest", f"{file}, {name}", make, "refused")

    def row(column, value):
        """Change a value of the first row."""

        def change(data):
            lines = data.decode().splitlines(keepends=True)
            place = lines[0].strip().split(",").index(column)
            values = lines[1].rstrip("\r\n").split(",")
            values[place] = value
            lines[1] = ",".join(values) + "\n"
            return "".join(lines).encode()

        return change

    for name in NO_FILES:
        yield case(name, "test.csv", name)
        yield case(name, "prepare.json", name)
    for name, change in ANY.items():
        if name not in ("without the last byte", "twice"):
            yield case(name, "test.csv", change)
    for name in ("empty", "zeros", "noise", "half", "twice"):
        yield case(name, "prepare.json", ANY[name])
    for column, value in (
        *(("label", "rain"), ("label", "dog|rain"), ("label", "cat")),
        *(("label", ""), ("ID", ""), ("ID", "another"), ("wav", "/none.wav")),
        *(("wav", ""), ("duration", "abc"), ("sha256", "0" * 64)),
        *(("sha256", ""), ("duration", "nan")),
    ):
        yield case(f"{column} {value:.20}", "test.csv", row(column, value))
    for name, value in (("a list", []), ("numbers", {"settings": 1})):
        yield case(
            name, "prepare.json", lambda _, v=value: json.dumps(v).encode()
        )


def results():
    """Of the kind ``results``: what the report reads."""
    call = ("afpt", "report", "results", "--output", "new")

    def case(name, change):
        def make(folder):
            path = folder / RUN / "results.json"
            if change in NO_FILES:
                in_place(change, path)
            else:
                path.write_bytes(change(path.read_bytes()))
            return call

        return Case("results", name, make, "refused")

    for name in ("empty", "zeros", "noise", "half", "UTF-16", "twice"):
        yield case(name, ANY[name])
    for name in NO_FILES:
        yield case(name, name)
    for key, value in (
        *(("metrics", {}), ("metrics", None), ("metrics", {"coarse": 1})),
        *(("identity", []), ("identity", None), ("seed", "abc"), ("seed", {})),
        *(("per_class", 1), ("history", {}), ("n_recordings", "x")),
        *(("fold", True), ("run_kind", []), ("clap_licence", -1)),
        ("timings", {"adapt_seconds": "x"}),
    ):
        yield case(
            f"{key} {value}",
            lambda data, key=key, value=value: json.dumps(
                json.loads(data) | {key: value}
            ).encode(),
        )


def reruns():
    """Of the kind ``rerun``: other settings in the folder of a finished run."""
    call = ("recipe", "OwnData", *RECIPE, "--output_folder", RUN)
    for options, said in (
        *(("--debug", "debug"), ("--captions=captions.csv", "supervision")),
        *(("--number_of_epochs 1", "epochs"), ("--seed=2", "seed")),
        *(("--lr=0.1", "lr, opt_class"), ("--method=a", "method")),
        *(("--clap=a/b", "a/b"), ("--data_folder other", "data_fingerprint")),
        ("--data_folder none", "none"),
        ("--data_folder other --skip_prep True", "recordings, not of"),
    ):

        def make(folder, options=options):
            for i, name in enumerate(NAMES):
                place = folder / "other" / name
                place.mkdir(parents=True)
                (place / f"{i}0.wav").write_bytes(sound(seed=90 + i))
            return _replaced(call, *options.split())

        yield Case("rerun", options, make, "refused", said=said, keeps=RUN)


def _replaced(call, *options):
    """A call with other values of its options, which are given once."""
    call = list(call)
    for name, value in zip(options[::2], options[1::2], strict=False):
        if name in call:
            place = call.index(name)
            del call[place : place + 2]
        call += [name, value]
    return (*call, *options[len(options) // 2 * 2 :])
