"""A saved model behind HTTP, on this machine: bounded in bytes, pixels, time and requests at once.

``GET /health`` says what is served. ``POST /predict`` answers for one picture, sent as ``multipart/form-data`` in the
field ``file``, or for one text, sent as JSON ``{"text": "…"}``: ``label``, ``probability``, ``probabilities``, and
``problem`` where a text is longer than the model reads. What is refused is one sentence in ``{"error": "…"}``.
"""

import asyncio
import json
import socket
import tempfile
from pathlib import Path
from typing import Any

from transferlib.errors import UserError, needs
from transferlib.own_data.answers import answering, answering_threads, opened
from transferlib.own_data.saved import SavedModel, load_model

MOST_BYTES = {"images": 10_000_000, "texts": 100_000}  # of a request's body
AT_ONCE = 32  # requests whose bodies may be in memory; another one is told to come back
PATIENCE = 30.0  # seconds that a client has to send its body


class RefusedError(Exception):
    """An HTTP ``status`` and the sentence that goes with it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(saved: SavedModel, at_once: int = AT_ONCE, patience: float = PATIENCE) -> Any:
    """The ASGI application of one saved model. Raises ``UserError`` where FastAPI is missing."""
    needs("fastapi", "serve", "Serving")
    needs("multipart", "serve", "Serving")
    from fastapi import FastAPI, HTTPException, Request
    from fastapi.responses import JSONResponse

    kind, classes, most = saved.about["kind"], saved.about["classes"], MOST_BYTES[saved.about["kind"]]
    answer, free = answering(saved), asyncio.Semaphore(at_once)
    pool = answering_threads()
    # No pages of documentation: they would ask another host for their scripts.
    app = FastAPI(title="transferlib", docs_url=None, redoc_url=None, openapi_url=None)

    def refusal(status: int, sentence: str) -> JSONResponse:
        return JSONResponse({"error": sentence}, status, {"Retry-After": "1"} if status == 503 else None)

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> JSONResponse:
        return refusal(error.status, str(error))

    @app.exception_handler(400)
    async def malformed(_: Request, error: HTTPException) -> JSONResponse:
        return refusal(422, f"The form cannot be read ({error.detail.rstrip('.')}): send one field 'file'.")

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def elsewhere(request: Request, error: HTTPException) -> JSONResponse:
        return refusal(error.status_code, "There is only GET /health and POST /predict.")

    async def body(request: Request) -> bytes:
        """The body as it arrives; what is longer than allowed is refused before it is there."""
        too_long = RefusedError(413, f"The request is larger than {most:,} bytes: send a smaller one.")
        told = request.headers.get("content-length", "")
        if told.isdecimal() and int(told) > most:
            raise too_long
        parts = bytearray()
        try:
            async with asyncio.timeout(patience):
                while True:
                    message = await request.receive()
                    parts += message.get("body", b"")
                    if len(parts) > most:
                        raise too_long
                    if not message.get("more_body", False):
                        return bytes(parts)
        except TimeoutError:
            raise RefusedError(408, f"The request did not arrive within {patience:g} seconds: send it again.") from None

    async def picture(request: Request, content: bytes) -> bytes:
        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async with Request(request.scope, again).form(max_files=1, max_fields=8) as form:
            if list(form) != ["file"] or isinstance(form["file"], str):
                got = ", ".join(repr(name[:40]) for name in form) or "none"
                raise RefusedError(
                    422, f"Send the picture as multipart/form-data, as a file in the one field 'file'; got {got}."
                )
            return await form["file"].read()

    def judged(x: Any) -> dict[str, Any]:
        if kind == "images":
            with tempfile.TemporaryDirectory() as place:  # outside of the model's folder, under no name of the sender's
                file = Path(place) / "picture"
                file.write_bytes(x)
                try:
                    x = opened(file, saved.about)
                except ValueError as error:
                    raise RefusedError(422, f"The picture cannot be read: {error}.") from None
        answers, said = answer(x[None] if kind == "images" else [x])
        p = answers[0].tolist()
        best = max(range(len(p)), key=p.__getitem__)
        told = {"label": classes[best], "probability": p[best], "probabilities": dict(zip(classes, p, strict=True))}
        return {**told, "problem": said[0]} if said[0] else told

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok", "kind": kind, "classes": classes, "sha256": saved.about["sha256"]})

    @app.post("/predict")
    async def predict(request: Request) -> JSONResponse:
        if free.locked():
            raise RefusedError(503, f"{at_once} requests are being answered: send this one again in a second.")
        async with free:
            content = await body(request)
            x = await picture(request, content) if kind == "images" else text(content)
            return JSONResponse(await asyncio.get_running_loop().run_in_executor(pool, judged, x))

    return app


def text(content: bytes) -> str:
    """The text in ``{"text": "…"}``.

    >>> text(b'{"text": "a good film"}')
    'a good film'
    """
    try:
        given = json.loads(content)
        said = given["text"] if list(given) == ["text"] else ""
        said.encode()  # half of a surrogate pair is valid JSON and no text
        if said.strip():
            return str(said)
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError):
        pass
    raise RefusedError(422, 'Send one text that is not empty as JSON, {"text": "…"}, with this one field.')


def serve(folder: str | Path, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the saved model in ``folder`` until interrupted; ``port`` 0 takes a free one.

    Raises ``UserError`` for what :func:`transferlib.own_data.saved.load_model` refuses, an address that cannot be had,
    and where FastAPI or uvicorn is missing.
    """
    needs("uvicorn", "serve", "Serving")
    import uvicorn

    app = application(load_model(folder))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(2048)  # before anybody is told; until then another process could take the port
        except (OSError, OverflowError) as error:
            raise UserError(f"Nothing can listen on {host!r}, port {port} ({error}): choose another --port.") from None
        shown = f"[{host}]" if ":" in host else host
        print(f"Serving on http://{shown}:{listening.getsockname()[1]}: GET /health, POST /predict", flush=True)
        if not host.startswith("127.") and host not in ("localhost", "::1"):
            print("Other machines can reach this address, and nobody has to log in.", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])
