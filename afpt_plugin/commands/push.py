"""``afpt push``: put an export on the Hugging Face hub, private by default.

Authors
 * The afpt_plugin developers 2026
"""

import argparse
import contextlib
import re
import sys

from afpt_plugin.errors import InputError

DESCRIPTION = """\
Push an export to the Hugging Face hub, where from_hparams of PromptedClassifier
finds it.

Its settings, tensors and card become one commit of the repository, which is
made if it does not exist, and is private unless you say --public. A damaged
export is refused, and so is a repository that holds something else. Log in
first: `hf auth login`, or HF_TOKEN. Somebody who has loaded an earlier push
keeps it until from_hparams gets fetch_config=FetchConfig(allow_updates=True).
"""

EXAMPLE = """\
example:
  afpt push my_sounds user/my-sounds
"""

USAGE = """\
  from afpt_plugin.inference import PromptedClassifier
  classifier = PromptedClassifier.from_hparams("{}")
  print(classifier.classify_file("recording.wav", top_k=3).text_lab)
"""

# Advice for each HTTP status that the hub may return.
ADVICE = {
    401: "log in with `hf auth login`, or set HF_TOKEN to a valid token",
    403: "use a token that may write there, or another name",
    None: "check the network and the name, and give the command again",
}


def add_parser(subparsers):
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "push",
        help="put an export on the Hugging Face hub",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "export",
        metavar="EXPORT",
        help="folder that `afpt tune` wrote, or the export/ folder of a run",
    )
    add("repo_id", metavar="USER/NAME", help="repository on the hub")
    for option, text in (
        ("--public", "let everyone read it, after a question"),
        ("--yes", "answer the question with yes"),
    ):
        add(option, action="store_true", help=text)
    parser.set_defaults(run=run)


def run(args):
    """Push the export, and say how to load it; return the exit status."""
    from huggingface_hub import (
        CommitOperationAdd,
        HfApi,
        constants,
        get_token,
    )
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.utils import get_session

    from afpt_plugin.inference import REPO_ID

    repo_id = args.repo_id
    if not REPO_ID.fullmatch(repo_id):
        raise InputError(
            f"{repo_id!r} is not the name of a repository; give user/name"
        )
    files = _read_files(args.export, repo_id)
    if get_token() is None:
        raise InputError(f"the hub asks for a token: {ADVICE[401]}")
    api, info = HfApi(), None
    with _explain(repo_id, "nothing was pushed"):
        # Test the network first: the hub's client would retry six times.
        get_session().head(constants.ENDPOINT, timeout=5)
        with contextlib.suppress(RepositoryNotFoundError):
            info = api.model_info(repo_id)
        if info is not None:
            _check_content(info)
    is_public = info is not None and not info.private
    if is_public and not args.public:
        raise InputError(
            f"{repo_id} is public, so nothing was pushed: give --public, or "
            "another name"
        )
    if args.public and not args.yes and not _confirm(repo_id):
        sys.stdout.write("Nothing was pushed.\n")
        return 1
    with _explain(repo_id, "nothing was pushed"):
        api.create_repo(repo_id, private=True, exist_ok=True)
        # A single commit writes all files or none.
        api.create_commit(
            repo_id,
            [CommitOperationAdd(*file) for file in files.items()],
            commit_message="Push an export of afpt_plugin",
        )
    # Last, so that a public repository is complete
    if args.public and not is_public:
        with _explain(repo_id, "it was pushed, but is still private"):
            api.update_repo_settings(repo_id, private=False)
    kind = "public" if args.public else "private"
    sys.stdout.write(
        f"{api.endpoint}/{repo_id} is {kind}. To use it:\n"
        + USAGE.format(repo_id)
    )
    return 0


def _read_files(folder, repo_id):
    """Read and check an export, name -> bytes, and add a card for the hub."""
    from afpt_plugin.card import CARD_FILE, CARD_SOURCE
    from afpt_plugin.export import (
        MAX_SETTINGS,
        MAX_TENSORS,
        SETTINGS_FILE,
        TENSORS_FILE,
        find_export,
        read_export,
    )
    from afpt_plugin.files import read_bytes

    read_export(folder)
    folder = find_export(folder)
    if not (folder / CARD_FILE).is_file():
        raise InputError(f"{folder} lacks {CARD_FILE}, its card; restore it")
    names = (SETTINGS_FILE, TENSORS_FILE, CARD_FILE)
    limits = MAX_SETTINGS, MAX_TENSORS, MAX_SETTINGS
    try:
        files = {
            name: read_bytes(folder / name, limit)
            for name, limit in zip(names, limits, strict=True)
        }
    except OSError as error:
        raise InputError(
            f"{error.filename}: the file cannot be read ({error.strerror}); "
            "restore the export"
        ) from error
    files[CARD_FILE] = files[CARD_FILE].replace(
        CARD_SOURCE.encode(), repo_id.encode()
    )
    return files


def _check_content(info):
    """Refuse a repository that holds anything but an export."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import (
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    from afpt_plugin.export import SETTINGS_FILE

    names = {file.rfilename for file in info.siblings} - {".gitattributes"}
    if SETTINGS_FILE in names:
        # Bypass the cache, which would keep this old file after the push.
        found = get_session().get(
            hf_hub_url(info.id, SETTINGS_FILE), headers=build_hf_headers()
        )
        hf_raise_for_status(found)
        if re.search(rb"^format: *['\"]?afpt-", found.content, re.MULTILINE):
            return
    if names:
        raise InputError(
            f"{info.id} holds {', '.join(sorted(names)[:5])}, which is no "
            "export, so nothing was pushed: give another name"
        )


def _confirm(repo_id):
    """Ask the user whether everyone may read the repository."""
    if not sys.stdin.isatty():
        raise InputError(
            "--public asks a question, but there is no terminal to answer it; "
            "give --yes, too"
        )
    sys.stdout.write(f"Everyone will be able to read {repo_id}. Go on? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextlib.contextmanager
def _explain(repo_id, state):
    """Turn any error of the hub's client into one sentence."""
    from huggingface_hub import constants

    from afpt_plugin.backbones.weights import hub_reason

    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the hub's clients share no base class
        status = getattr(getattr(error, "response", None), "status_code", None)
        raise InputError(
            f"{repo_id}: {constants.ENDPOINT} cannot be reached or refused "
            f"({hub_reason(error)}), so {state}; "
            f"{ADVICE.get(status, ADVICE[None])}"
        ) from error
