"""A served model, over a real connection: what it answers, and what it refuses in one sentence."""

import http.client
import io
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import uvicorn
from PIL import Image

from transferlib.errors import UserError
from transferlib.own_data.saved import SavedModel, build, load_model, probe_classifier, save_model
from transferlib.own_data.serve import application, serve, text
from transferlib.tuning import strategies
from transferlib.tuning.probes import Probe, fit_probe

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def png(width: int, height: int) -> bytes:
    """A PNG that says it has this size; its pixels would be black."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    body = zlib.compress(bytes(width * height // 8 + height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def form(content: bytes, field: str = "file", name: str = "x.png") -> tuple[bytes, dict[str, str]]:
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def ask(port: int, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET" if body is None else "POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


def running(application: Any) -> Iterator[int]:
    """The port of the application in a thread."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("served") / "model"
    about = {"kind": "images", "backbone": "small-cnn", "size": 28, "classes": ["a", "<b>", "ç"], "temperature": 0.5}
    save_model(place, strategies.from_scratch(3, "small-cnn", size=28, seed=1).eval(), **about)  # type: ignore[arg-type]
    return place


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    yield from running(application(load_model(folder)))


@pytest.fixture
def photo() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    return file.getvalue()


def test_the_answer_is_the_saved_models(port: int, folder: Path, photo: bytes, tmp_path: Path) -> None:
    status, said, _ = ask(port, "/predict", *form(photo))
    (tmp_path / "x.png").write_bytes(photo)
    row = load_model(folder).predict(tmp_path / "x.png").iloc[0]
    assert status == 200 and said["label"] == row["class"] and said["probability"] == pytest.approx(row["probability"])
    assert said["probabilities"] == pytest.approx({name: row[f"p({name})"] for name in ("a", "<b>", "ç")}, abs=1e-5)
    status, said, _ = ask(port, "/health")
    assert status == 200 and said["status"] == "ok" and said["classes"] == ["a", "<b>", "ç"]


def test_what_is_no_picture_is_said_and_nothing_is_read_or_written(port: int, folder: Path, photo: bytes) -> None:
    before = {file: file.read_bytes() for file in folder.iterdir()}
    for content in (b"no picture", b"", photo[:60]):
        status, said, _ = ask(port, "/predict", *form(content, name="../../etc/passwd"))
        assert status == 422 and said["error"].startswith("The picture cannot be read: ")
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    for path in ("/", "/docs", "/openapi.json", "/redoc", "/../model.json", "/model.json", "/predict"):
        status, said, _ = ask(port, path)
        assert status in (404, 405) and said == {"error": "There is only GET /health and POST /predict."}


@pytest.mark.parametrize("declared", [True, False])
def test_sixty_megabytes_are_refused_on_the_way(port: int, declared: bool) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    if declared:
        headers["Content-Length"] = "60000000"
    status, said, _ = ask(port, "/predict", (bytes(1_000_000) for _ in range(60)), headers)
    assert status == 413 and said == {"error": "The request is larger than 10,000,000 bytes: send a smaller one."}
    assert ask(port, "/health")[0] == 200


def test_a_length_that_is_too_large_is_refused_before_the_body_is_sent(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", "60000000")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("side", [8_000, 20_000])
def test_a_small_file_with_many_pixels_is_refused(port: int, side: int) -> None:
    content = png(side, side)
    assert len(content) < 1_000_000
    status, said, _ = ask(port, "/predict", *form(content))
    assert status == 422 and "pixels" in said["error"]


def test_a_wrong_field_or_form_is_one_sentence(port: int, photo: bytes) -> None:
    status, said, _ = ask(port, "/predict", *form(photo, field="image"))
    assert status == 422 and "one field 'file'; got 'image'" in said["error"]
    for body, kind in ((b"{}", "application/json"), (b"file=x", "application/x-www-form-urlencoded"),
                       (b"x", "multipart/form-data"), (b"x", "multipart/form-data; boundary=b")):  # fmt: skip
        status, said, _ = ask(port, "/predict", body, {"Content-Type": kind})
        assert status == 422 and "'file'" in said["error"]
    twice = form(photo)[0][: -len(b"--b--\r\n")] + form(photo)[0]
    assert ask(port, "/predict", twice, form(b"")[1])[0] == 422


def test_two_hundred_at_once_all_get_an_answer(port: int, photo: bytes) -> None:
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: ask(port, "/predict", *form(photo)), range(200)))
    said = [(status, headers["Retry-After"]) for status, _, headers in answers]
    assert set(said) <= {(200, None), (503, "1")} and (200, None) in said


def test_where_all_places_are_taken_the_next_is_told_to_come_back_and_the_slow_are_let_go(folder: Path) -> None:
    for port in running(application(load_model(folder), at_once=1, patience=1.5)):
        slow = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        slow.putrequest("POST", "/predict")
        slow.putheader("Content-Length", "100")
        slow.endheaders(b"half")
        for _ in range(2):  # answered after what was sent before
            ask(port, "/health")
        answer = ask(port, "/predict", b"x")
        assert (
            answer[0] == 503
            and answer[1]["error"].startswith("1 requests are being answered")
            and answer[2]["Retry-After"] == "1"
        )
        late = slow.getresponse()
        assert late.status == 408 and b"within 1.5 seconds" in late.read()
        slow.close()
        assert ask(port, "/predict", b"x")[0] == 422, "its place is free again"


def test_a_model_of_texts_is_asked_with_json(tmp_path: Path) -> None:
    words = build("words", 0)
    head = fit_probe(words.encode(["good film", "bad film"]), torch.tensor([1, 0]))  # type: ignore[operator]
    save_model(tmp_path, probe_classifier(words, head), kind="texts", backbone="words", size=0, classes=["no", "yes"],
               temperature=4.0)  # fmt: skip
    for port in running(application(load_model(tmp_path))):
        status, said, _ = ask(port, "/predict", json.dumps({"text": "good"}))
        assert status == 200 and said["label"] == "yes"
        for wrong in ('{"txt": "x"}', '{"text": 1}', '{"text": " "}', '{"text": "a", "b": 1}', "[", "[" * 90_000,
                      "null", "5", '["text"]', '{"text": "\\ud800"}'):  # fmt: skip
            status, said, _ = ask(port, "/predict", wrong)
            assert status == 422 and said["error"].startswith("Send one text"), wrong
        assert ask(port, "/predict", json.dumps({"text": "x" * 200_000}))[0] == 413
    assert text('{"text": "für"}'.encode()) == "für"


def test_an_answer_says_where_a_text_was_cut() -> None:
    class Words(torch.nn.Module):
        """A text is its number of words, up to three: each is a token."""

        out_features = 1

        def tokenizer(self, text: str, **_: object) -> dict[str, list[str]]:
            return {"input_ids": text.split()}

        def encode(self, texts: list[str]) -> torch.Tensor:
            return torch.tensor([[float(min(len(text.split()), 3))] for text in texts])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    model = probe_classifier(Words(), Probe(torch.tensor([[-1.0, 1.0]]), torch.zeros(2), 1.0))
    about = {"kind": "texts", "size": 3, "classes": ["no", "yes"], "temperature": 1.0, "sha256": ""}
    for port in running(application(SavedModel(model, about))):
        for words, problem in (("a b c d e", "only the first 3 of its 5 tokens are read"), ("a b c", None)):
            status, said, _ = ask(port, "/predict", json.dumps({"text": words}))
            assert status == 200 and said["label"] == "yes" and said.get("problem") == problem


def test_the_command_says_where_it_serves_and_an_address_that_is_taken_is_one_sentence(folder: Path) -> None:
    command = [sys.executable, "-m", "transferlib", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as child:
        try:
            assert child.stdout
            line = child.stdout.readline()
            assert line.startswith("Serving on http://127.0.0.1:")
            port = int(line.split(":")[2])
            with pytest.raises(UserError, match=f"Nothing can listen on '127.0.0.1', port {port}"):
                serve(folder, port=port)
        finally:
            child.terminate()
