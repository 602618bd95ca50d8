"""A stand-in for Grafana that keeps its documented HTTP contract, the awkward parts above all.

Service-account tokens, 404 for data sources by number (Grafana 13), 409 and 412 on conflicts, Go's
reading of null (a null list leaves a field alone, an empty one wipes it), HTML from a proxy.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "glsa_test_0123"  # noqa: S105  it opens nothing


class Grafana:
    """The stub and what it holds."""

    def __init__(self):
        self.sources, self.folders, self.boards, self.notes = {}, {}, {}, {}
        self.calls, self.broken = [], None
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, answer = stub.answer(
                    self.command, self.path, body, self.headers.get("Authorization")
                )
                text = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return self._any
                raise AttributeError(name)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, verb, target, body, authorization):
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.calls.append((verb, path))
        if self.broken is not None:
            return self.broken
        if path == "/api/health":
            return 200, {"database": "ok", "version": "13.3.0", "commit": "deadbeef"}
        if authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key", "messageId": "api-key.invalid"}
        for pattern, method in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found:
                return method(self, verb, found.groups(), query, body)
        return 404, {"message": "Not found"}

    def _source(self, verb, groups, _query, body):
        if verb == "POST":
            if any(source["name"] == body["name"] for source in self.sources.values()):
                return 409, {"message": "data source with the same name already exists"}
            stored = dict(body, id=len(self.sources) + 1, version=1, isDefault=False)
            self.sources[body["uid"]] = stored
            return 200, {"datasource": stored, "message": "Datasource added"}
        stored = self.sources.get(groups[0])
        if stored is None:
            return 404, {"message": "Data source not found"}
        if verb == "PUT":
            if body.get("version", stored["version"]) != stored["version"]:
                return 409, {"message": "Datasource has already been updated by someone else"}
            # A PUT replaces: what is left out is gone.
            stored = dict(body, id=stored["id"], version=stored["version"] + 1)
            self.sources[groups[0]] = stored
            return 200, {"datasource": stored, "message": "Datasource updated"}
        return 200, stored

    def _folder(self, verb, groups, _query, body):
        if verb == "POST":
            if body["uid"] in self.folders:
                return 412, {"message": "a folder with the same uid already exists"}
            self.folders[body["uid"]] = body
            return 200, body
        found = self.folders.get(groups[0])
        return (200, found) if found else (404, {"message": "folder not found"})

    def _board(self, _verb, _groups, _query, body):
        board = body["dashboard"]
        if body.get("folderUid") and body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        old = self.boards.get(board["uid"])
        if old and not body.get("overwrite") and board.get("version") != old["version"]:
            return 412, {"message": "The dashboard has been changed by someone else"}
        version = (old["version"] if old else 0) + 1
        self.boards[board["uid"]] = board | {"version": version, "folder": body["folderUid"]}
        uid = board["uid"]
        return 200, {"status": "success", "uid": uid, "url": f"/d/{uid}/x", "version": version}

    def _notes(self, verb, _groups, query, body):
        if verb == "POST":
            if not body.get("text"):
                return 400, {"message": "text field should not be empty"}
            note = {"id": len(self.notes) + 1, "timeEnd": body.get("time"), "tags": []} | body
            self.notes[note["id"]] = note
            return 200, {"id": note["id"], "message": "Annotation added"}
        wanted = set(query.get("tags", []))
        return 200, [note for note in self.notes.values() if wanted <= set(note["tags"])]

    def _note(self, _verb, groups, _query, body):
        note = self.notes.get(int(groups[0]))
        if note is None:
            return 404, {"message": "Annotation not found"}
        for key in ("tags", "text", "time", "timeEnd"):
            if body.get(key) is not None and (key == "tags" or body[key]):
                note[key] = body[key]
        return 200, {"message": "Annotation patched"}


_ROUTES = (
    (r"/api/datasources(?:/uid/([\w-]+))?", Grafana._source),
    (r"/api/folders(?:/([\w-]+))?", Grafana._folder),
    (r"/api/dashboards/db", Grafana._board),
    (r"/api/annotations", Grafana._notes),
    (r"/api/annotations/(\d+)", Grafana._note),
)
