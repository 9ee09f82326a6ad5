"""A Hugging Face hub on this machine, which speaks what is asked of it."""

import base64
import contextlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace


class FakeHub(BaseHTTPRequestHandler):
    """The hub's routes that a push and a download need."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, status, content=b"", **headers):
        """Send bytes, or JSON."""
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Length": len(content), **headers}
        # Each request is a connection, before which a test may kill.
        headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def handle_any(self):
        """Check the token, then do what the path says."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        state = self.server.state
        path = self.path.partition("?")[0]
        writes = self.command in ("POST", "PUT")
        state.asked.append(f"{self.command} {path}")
        is_known = self.headers.get("Authorization") == "Bearer secret"
        name = re.sub(r"^/(api/models/)?([^/]+/[^/]+).*", r"\2", path)
        repo = state.repos.get(name.removesuffix(".git"))
        if path == "/":
            self.answer(200)
        elif state.refusal and writes and path.endswith(state.refusal):
            self.answer(403, {"error": "no write access"})
        elif path.startswith("/upload/"):
            state.large[path.removeprefix("/upload/")] = body
            self.answer(200)
        elif path == "/api/repos/create" and is_known:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            status = 409 if name in state.repos else 200
            private = asked.get("visibility") == "private" or asked.get(
                "private", False
            )
            repo = {"private": private, "files": {}, "commits": 0}
            state.repos.setdefault(name, repo)
            self.answer(status, {"url": f"{self.server.url}/{name}"})
        elif path == "/api/validate-yaml":
            head = json.loads(body)["content"].split("---\n")[1]
            assert "pipeline_tag: audio-classification\n" in head
            self.answer(200, {"errors": [], "warnings": []})
        elif repo is None or (repo["private"] and not is_known):
            # As the hub does, which does not tell whether it is there
            status = 404 if is_known else 401
            self.answer(status, X_Error_Code="RepoNotFound")
        elif "/preupload/" in path:
            files = []
            for file in json.loads(body)["files"]:
                is_large = file["path"].endswith(".safetensors")
                mode = state.mode if is_large else "regular"
                facts = {"uploadMode": mode, "shouldIgnore": False}
                files.append({"path": file["path"], **facts})
            self.answer(200, {"files": files})
        elif path.endswith("/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            for file in objects:
                href = f"{self.server.url}/upload/{file['oid']}"
                file["actions"] = {"upload": {"href": href}}
            self.answer(200, {"objects": objects, "transfer": "basic"})
        elif "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    content = base64.b64decode(value["content"])
                    repo["files"][value["path"]] = content
                elif line["key"] == "lfsFile":
                    repo["files"][value["path"]] = state.large[value["oid"]]
            repo["commits"] += 1
            commit = {"commitUrl": f"{self.server.url}/{name}/commit/1"}
            self.answer(200, {**commit, "commitOid": "c" * 40})
        elif path.endswith("/settings"):
            asked = json.loads(body)
            repo["private"] = (
                asked.get("visibility", "private") == "private"
                and asked.get("private", True) is not False
            )
            self.answer(200, {})
        elif "/resolve/" in path:
            content = repo["files"].get(path.rpartition("/")[2])
            if content is None:
                self.answer(404, X_Error_Code="EntryNotFound")
            else:
                commit = f"{repo['commits']:040x}"
                etag = f'"{hash(content)}"'
                self.answer(200, content, X_Repo_Commit=commit, ETag=etag)
        else:
            siblings = [{"rfilename": file} for file in repo["files"]]
            facts = {"id": name, "private": repo["private"]}
            self.answer(200, {**facts, "siblings": siblings, "tags": []})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any


@contextlib.contextmanager
def fake_hub():
    """Its address, and its repositories, what it was asked, what it refuses."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.state = SimpleNamespace(
        repos={}, asked=[], refusal=None, mode="regular", large={}
    )
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.url, server.state
    server.shutdown()
    server.server_close()


def addresses(url):
    """What the hub's client has to be told, of its module `constants`."""
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    return {"ENDPOINT": url, "HUGGINGFACE_CO_URL_TEMPLATE": template}
