"""POST /predict and what every server has: the page, health, metrics, refusals."""

from __future__ import annotations

import base64
import http.client
import io
import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecls.evaluation.top_predictions import top_predictions
from edgecls.runners.scored import score_images
from served import LABELS, Server

BYTES = "application/octet-stream"


@pytest.fixture(scope="module")
def expected(model: Path, png: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, float]]:
    """What `edgecls predict` says of the same file."""
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    path.write_bytes(png)
    found = score_images(model, [path])
    return [(entry.label, entry.probability) for entry in top_predictions(found.scores[0], found.output_kind, found.labels, 3)]


def form(content: bytes, name: str = "file") -> tuple[bytes, str]:
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return head.encode() + content + b"\r\n--xyz--\r\n", "multipart/form-data; boundary=xyz"


@pytest.mark.parametrize("way", ["raw", "form", "json", "data url"])
def test_every_way_in_gives_what_the_command_gives(
    server: Server, png: bytes, expected: list[tuple[str, float]], way: str
) -> None:
    text = base64.b64encode(png).decode()
    body, kind = form(png)
    found = {
        "raw": lambda: server.ask("POST", "/predict", png, Content_Type=BYTES),
        "form": lambda: server.ask("POST", "/predict", body, Content_Type=kind),
        "json": lambda: server.post("/predict", {"image": text}),
        "data url": lambda: server.post("/predict", {"image": f"data:image/png;base64,{text}"}),
    }[way]()
    assert found.status == 200, found.body
    assert found.json["artifact"] == "tiny"
    assert [(entry["label"], entry["probability"]) for entry in found.json["predictions"]] == expected


def test_a_long_body_comes_whole_and_the_next_short_one_too(model: Path, picture: np.ndarray) -> None:
    """Longer than what a connection hands on at once and than what a worker keeps room for: the same picture, packed and unpacked."""
    large = Image.fromarray(picture).resize((1800, 900), Image.Resampling.NEAREST)
    files = []
    for level in (9, 0):
        stream = io.BytesIO()
        large.save(stream, "PNG", compress_level=level)
        files.append(stream.getvalue())
    assert len(files[0]) < 200_000 < 4 << 20 < len(files[1])
    with Server([model, "--workers", 1]) as server:
        found = [server.ask("POST", "/predict", files[index]).json["predictions"] for index in (0, 1, 0)]
    assert found[1:] == found[:1] * 2


@pytest.mark.parametrize("size", [2, 1000])
def test_a_body_comes_whole_in_however_many_chunks(
    server: Server, png: bytes, expected: list[tuple[str, float]], size: int
) -> None:
    chunks = [png[start : start + size] for start in range(0, len(png), size)]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/predict", iter(chunks), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    found = json.loads(connection.getresponse().read())
    connection.close()
    assert [(entry["label"], entry["probability"]) for entry in found["predictions"]] == expected


def test_requests_that_come_together_get_their_own_answers(server: Server, png: bytes) -> None:
    """The second is there before the first is answered: neither takes a part of the other's body."""
    bodies = [png, b"no picture", png]
    heads = [f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() for body in bodies]
    with socket.create_connection(("127.0.0.1", server.port), 60) as line:
        line.sendall(b"".join(head + body for head, body in zip(heads, bodies, strict=True)))
        came = b""
        while came.count(b"HTTP/1.1 ") < len(bodies):
            came += line.recv(1 << 16)
    assert re.findall(rb"HTTP/1.1 (\d+)", came) == [b"200", b"400", b"200"]


def test_top_and_artifact_choose(server: Server, png: bytes, expected: list[tuple[str, float]]) -> None:
    found = server.ask("POST", "/predict?top=1&artifact=tiny", png, Content_Type=BYTES)
    assert [entry["label"] for entry in found.json["predictions"]] == [expected[0][0]]
    assert len(server.ask("POST", "/predict?top=99", png).json["predictions"]) == len(LABELS)
    assert server.ask("POST", "/predict?artifact=other", png).status == 404


@pytest.mark.parametrize("query", ["top=0", "top=-1", "top=a", "top=", "top=1001", "top=1&top=2", "topp=1", "top=%201"])
def test_queries_that_mean_nothing_are_refused(server: Server, png: bytes, query: str) -> None:
    assert server.ask("POST", f"/predict?{query}", png).status == 400


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", BYTES),
        (b"no picture", BYTES),
        (b"{}", "application/json"),
        (b'{"image": 5}', "application/json"),
        (b'{"image": "*"}', "application/json"),
        (b'{"image": "aGFsbG8="}', "application/json"),
        (b'{"image": "", "more": 1}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"[1", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"--xyz", "multipart/form-data; boundary=xyz"),
        (b"--xyz--\r\n", "multipart/form-data; boundary=xyz"),
        (b"", "multipart/form-data"),
    ],
)
def test_bodies_without_a_picture_are_refused(server: Server, body: bytes, kind: str) -> None:
    found = server.ask("POST", "/predict", body, Content_Type=kind)
    assert found.status == 400
    assert found.json["error"].startswith("expected")


@pytest.mark.parametrize(("encoding", "status"), [("utf-8", 200), ("utf-8-sig", 200), ("utf-16", 400)])
def test_json_is_utf8(server: Server, png: bytes, encoding: str, status: int) -> None:
    text = json.dumps({"image": base64.b64encode(png).decode()})
    assert server.ask("POST", "/predict", text.encode(encoding), Content_Type="application/json").status == status


def test_what_is_too_large_is_refused(server: Server) -> None:
    """The server takes 1 MiB and half a million pixels. The picture is a bomb: 25 million pixels in 25 KB."""
    assert server.ask("POST", "/predict", b"x" * (1 << 20) + b"x").status == 413
    bomb = io.BytesIO()
    Image.new("L", (5000, 5000)).save(bomb, "PNG")
    found = server.ask("POST", "/predict", bomb.getvalue())
    assert (found.status, "5000 x 5000" in found.json["error"]) == (413, True)


def test_a_chunked_body_is_bounded_too(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", "/predict")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"%x\r\n%s\r\n" % ((1 << 20) + 1, b"x" * ((1 << 20) + 1)))  # no last chunk: it is not waited for
    assert connection.getresponse().status == 413
    connection.close()


def test_no_answer_tells_of_paths_or_versions(server: Server, model: Path, png: bytes) -> None:
    """Of what is there, of what is not, and of what goes wrong."""
    asked = [("GET", path) for path in ("/", "/healthz", "/artifacts", "/v2", "/v1/models/tiny", "/nothing", "/../../etc/passwd")]
    for method, path in [*asked, ("POST", "/predict"), ("PUT", "/predict"), ("GET", "/predict")]:
        found = server.ask(method, path, b"\x89PNG\r\n\x1a\n" if method == "POST" else None)
        text = " ".join([*found.headers.values(), found.body.decode()])
        assert str(model.parent) not in text
        assert "Traceback" not in text
        assert not re.search(r"uvicorn|starlette|Python/", text, re.IGNORECASE)


def test_health_readiness_and_metrics(server: Server, png: bytes) -> None:
    assert server.ask("GET", "/healthz").json == {"live": True}
    assert server.ask("GET", "/readyz").json == {"ready": True}

    def counted(text: str) -> float:
        found = re.search(r'^edgecls_requests_total\{endpoint="predict",status="200"\} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    before = counted(server.ask("GET", "/metrics").body.decode())
    server.ask("POST", "/predict", png)
    server.ask("POST", "/predict", b"no picture")
    text = server.ask("GET", "/metrics").body.decode()
    assert counted(text) == before + 1
    assert 'edgecls_errors_total{endpoint="predict"}' in text
    assert 'edgecls_request_seconds_bucket{endpoint="predict",le="0.005"}' in text
    assert "edgecls_queue_requests 0.0" in text
    assert re.search(r'^edgecls_memory_bytes\{role="workers"\} [1-9]', text, re.MULTILINE)


def test_head_is_answered_without_a_body(server: Server) -> None:
    """As health checks and monitors ask; the connection then takes the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for path, status in (("/healthz", 200), ("/", 200), ("/nothing", 404), ("/predict", 405)):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"")
        assert int(answer.headers["Content-Length"]) > 0
    connection.request("GET", "/healthz")
    assert json.loads(connection.getresponse().read()) == {"live": True}
    connection.close()


def test_heads_among_requests_that_come_together(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as line:
        line.sendall(b"".join(b"%s /healthz HTTP/1.1\r\nHost: a\r\n\r\n" % method for method in (b"HEAD", b"GET", b"HEAD")))
        came = b""
        while came.count(b"\r\n\r\n") < 3:
            came += line.recv(1 << 16)
    assert re.findall(rb"HTTP/1.1 (\d+)", came) == [b"200"] * 3
    assert came.count(b'{"live":true}') == 1


@pytest.mark.parametrize(("method", "path"), [("POST", "/predict/"), ("GET", "/artifacts/"), ("GET", "//artifacts")])
def test_another_path_leads_nowhere_else(server: Server, png: bytes, method: str, path: str) -> None:
    """A redirection would be to `http` on a host that the client names: behind a proxy past its TLS, and the token unencrypted."""
    found = server.ask(method, path, png if method == "POST" else None, Host="other.example")
    assert found.status == 404
    assert "openapi.json" in found.json["error"]
    assert "location" not in found.headers


def test_the_page_asks_nobody_else(server: Server) -> None:
    for path in ("/", "/page.css", "/page.js"):
        found = server.ask("GET", path)
        assert found.status == 200
        assert "default-src 'none'" in found.headers["content-security-policy"]
        assert not re.search(rb"https?://|//[a-z]+\.", found.body)


def test_sixteen_clients_get_their_own_answers(server: Server, model: Path, tmp_path: Path) -> None:
    """Questions share batches; each answer is that of its own picture."""
    from concurrent.futures import ThreadPoolExecutor

    pictures = []
    for number in range(16):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 9, 3), np.uint8)).save(path)
        pictures.append(path)
    scores = score_images(model, pictures).scores
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda path: server.ask("POST", "/predict", path.read_bytes()).json, pictures * 4))
    for number, answer in enumerate(found):
        entries = sorted(answer["predictions"], key=lambda entry: entry["index"])
        assert [entry["score"] for entry in entries] == [float(score) for score in scores[number % 16]]
