"""``afpt demo``: a local web page that scores uploaded or spoken recordings.

It is served only to this machine. Uploads are kept in a folder of their own,
which is removed when the command ends.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import base64
import functools
import os
import signal
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from html import escape
from pathlib import Path

from afpt_plugin.errors import InputError

DESCRIPTION = """\
Open a page in the browser: drop a recording or speak into the microphone, edit
the class names, and see the scores, and when each class is heard.

Only this machine can open the page. Recordings do not leave it, and are deleted
when the command ends (Ctrl+C). The page needs gradio:
pip install "afpt-plugin[demo-page]"
"""

HINT = "<p>Drop a recording, or record one with the microphone.</p>"
CSS = """\
div { max-height: 20rem; overflow-y: auto; }
table, meter, img { width: 100%; }
table, tr, td { border: 0; }
td { padding: 0 0.5rem; }
td:nth-child(2) { width: 60%; }
td:nth-child(3) { text-align: right; white-space: nowrap; }
[role=alert] { border-left: 4px solid #D55E00; padding: 0.5rem 1rem; }
"""


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "demo",
        help="try what a run learned on a page in the browser",
        description=DESCRIPTION,
        epilog="example:\n  afpt demo my_sounds",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "export",
        metavar="EXPORT",
        help="folder that `afpt tune` wrote, the export/ folder of a run, or "
        "user/name on the Hugging Face hub",
    )
    for option, metavar, text in (
        ("weights", "FILE", "local checkpoint of the CLAP that EXPORT names"),
        ("device", "NAME", "cpu, cuda:0, ... (default: a GPU if present)"),
    ):
        add(f"--{option}", metavar=metavar, help=text)
    add(
        "--port",
        type=int,
        metavar="N",
        help="default: the first free one from 7860",
    )
    add("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(run=run)


def run(args):
    """Serve the page until it is interrupted; return the exit status."""
    if args.port is not None and not 1 <= args.port <= 65535:
        raise InputError(f"--port is {args.port}; give 1 to 65535")
    with tempfile.TemporaryDirectory(prefix="afpt-demo-") as folder:
        # This folder also gets the parts of uploads that were given up.
        os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = folder
        try:
            with suppress(KeyboardInterrupt):
                _serve(args)
        finally:
            tempfile.tempdir = None
    return 0


def _serve(args):
    # Neither gradio nor the browser keeps a record of what was scored.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the page needs gradio ({error}); install it with "
            'pip install "afpt-plugin[demo-page]"'
        ) from error

    from afpt_plugin.experiment import check_device
    from afpt_plugin.inference import PromptedClassifier

    classifier = PromptedClassifier.from_hparams(
        args.export,
        run_opts={"device": check_device(args.device)},
        weights=args.weights,
    )
    page = make_page(classifier, args.export)
    # Delete the recordings, however the command is ended.
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.default_int_handler)
    # gradio requests its own page, which a proxy could not reach.
    os.environ["no_proxy"] = "127.0.0.1"
    # gradio uses a deprecated name at every click.
    warnings.filterwarnings("ignore", message="'HTTP_422_UNPROC")
    try:
        _, url, _ = page.launch(
            server_name="127.0.0.1",
            server_port=args.port,
            inbrowser=not args.no_browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            footer_links=[],
        )
    except OSError as error:
        port = args.port or "7860 and those after it"
        raise InputError(
            f"port {port}: taken, or not allowed; give another --port"
        ) from error
    sys.stdout.write(f"The page is at {url} until you press Ctrl+C.\n")
    sys.stdout.flush()
    try:
        threading.Event().wait()
    finally:
        page.close(verbose=False)


def make_answer(classifier):
    """Make the function that answers the page.

    It takes a file's path, or None, and class names, one per line. It returns
    HTML: scores and a figure, or a message about the recording or the names.
    """
    from afpt_plugin.inference import LONGEST_DRAWN

    own_names = "\n".join(classifier.class_names)

    # If only the names change, the recording is not encoded again.
    @functools.lru_cache(maxsize=1)
    def encode(path):
        """Return a recording's samples and the embeddings of its windows."""
        sig = classifier.load_audio(path, LONGEST_DRAWN)
        return sig, classifier.encode_windows([sig])[0]

    def with_names(text):
        """Make the classifier of the names in the field."""
        from afpt_plugin.data.tables import parse_class_names

        if text == own_names:
            return classifier
        names = parse_class_names(text, "class names")
        if len(names) < 2:
            raise InputError(
                f"class names: {names[0]!r} alone has nothing to be compared "
                "with; give at least two names, each on a line of its own"
            )
        return classifier.with_class_names(names)

    def answer(path, text):
        """Make the HTML that the page shows for a recording."""
        if path is None:
            return HINT
        try:
            chosen = with_names(text)
            sig, windows = encode(path)
        except InputError as error:
            message = str(error).replace(str(path), Path(path).name)
            return f"<p role='alert'>⚠ {escape(message)}</p>"
        found = chosen.score_windows(len(sig), windows)
        return _table(chosen, found) + _figure(chosen, sig, found)

    return answer


def _table(classifier, found):
    """Make the table of all classes with their scores, the best first."""
    logits, n_classes = found.mean_logits()[None], len(classifier.class_names)
    best = classifier.rank(logits, n_classes)
    values, kind = best.score[0].exp().tolist(), "probabilities"
    if classifier.calibration.fitted_on is None:
        kind += ", not calibrated"
    present = set(classifier.present(best.out_prob)[0])
    rows = "".join(
        f"<tr><td>{escape(name)}{' ✓' * (name in present)}"
        f"<td><meter value={value}></meter><td>{value:.1%}"
        for name, value in zip(best.text_lab[0], values, strict=True)
    )
    return (
        f"<p>{found.seconds:.1f} s; {kind}</p><div><table>{rows}</table></div>"
    )


def _figure(classifier, sig, found):
    """Draw the spectrogram and frame scores, or say why there are none."""
    from afpt_plugin.results.frames_figure import plot_frame_scores

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frames.png")
        names, rate = classifier.class_names, classifier.sample_rate
        frames = found.frames and classifier.frame_probabilities(found.frames)
        plot_frame_scores(sig, rate, frames, names, path)
        data = base64.b64encode(path.read_bytes()).decode()
    image = f"<img alt=spectrogram src='data:image/png;base64,{data}'>"
    why = _mistake(classifier.check_frames)
    return image + (f"<p>{escape(why)}</p>" if why else "")


def _mistake(function, *arguments):
    """Return the message of an `InputError` of a function, or None."""
    try:
        function(*arguments)
    except InputError as error:
        return str(error)


def make_page(classifier, title):
    """Make the page of a `PromptedClassifier`, a ``gradio.Blocks``."""
    import gradio as gr

    why_fixed = _mistake(classifier.with_class_names, classifier.class_names)
    learner, clap = type(classifier.learner).__name__, classifier.mods.clap.name
    with gr.Blocks(
        title=f"afpt demo: {title}", analytics_enabled=False
    ) as page:
        gr.Markdown(
            f"### {title}\n{learner} on {clap}. Recordings stay on this machine "
            "and are deleted when the command ends."
        )
        with gr.Row():
            with gr.Column():
                options = {"label": "recording", "buttons": []}
                recording = gr.Audio(type="filepath", **options)
                names = gr.Textbox(
                    "\n".join(classifier.class_names),
                    lines=4,
                    max_lines=12,
                    label="class names",
                    info=why_fixed or "one per line",
                    interactive=why_fixed is None,
                )
                button = gr.Button("Score", variant="primary")
            with gr.Column(scale=2):
                answer = gr.HTML(HINT, css_template=CSS)
        gr.on(
            [recording.change, button.click],
            make_answer(classifier),
            [recording, names],
            answer,
            trigger_mode="always_last",
        )
    return page
