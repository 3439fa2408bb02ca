"""The photo lab's arithmetic as WebAssembly with 128-bit SIMD: two functions, assembled here.

What they compute stands in plain JavaScript in network.js (``plainKernel``); a test holds the two against each other.
Pointers and steps are in bytes, numbers are single precision.
"""

from collections.abc import Callable, Sequence

I32, F32, V128 = 0x7F, 0x7D, 0x7B
ROWS = 4  # pixels at once; with eight outputs each, the sums fill eight registers


def _unsigned(n: int) -> bytes:
    head, rest = n & 127, n >> 7
    return bytes([head | 128]) + _unsigned(rest) if rest else bytes([head])


def _signed(n: int) -> bytes:
    head, rest = n & 127, n >> 7
    return bytes([head]) if (rest, head & 64) in ((0, 0), (-1, 64)) else bytes([head | 128]) + _signed(rest)


def _list(items: Sequence[bytes]) -> bytes:
    return _unsigned(len(items)) + b"".join(items)


def _sized(content: bytes) -> bytes:
    return _unsigned(len(content)) + content


def _simd(code: int, *rest: int) -> bytes:
    return b"\xfd" + _unsigned(code) + b"".join(map(_unsigned, rest))


ADD, SUB, MUL, LESS_U, LESS, AT_LEAST = (bytes([code]) for code in (0x6A, 0x6B, 0x6C, 0x49, 0x48, 0x4E))
SPLAT, VADD, VMUL, VMIN, VMAX = (_simd(code) for code in (0x13, 0xE4, 0xE6, 0xE8, 0xE9))
IF, END = b"\x04\x40", b"\x0b"


def _constant(n: int) -> bytes:
    return b"\x41" + _signed(n)


def _load(offset: int = 0) -> bytes:
    return _simd(0x00, 2, offset)  # aligned to 4 bytes


def _store(offset: int = 0) -> bytes:
    return _simd(0x0B, 2, offset)


BROADCAST = _simd(0x09, 2, 0)


class _Function:
    """Names of parameters and local variables, and code that uses them."""

    def __init__(self, integers: str, floats: str, more: str, vectors: str) -> None:
        groups = [names.split() for names in (integers, floats, more, vectors)]
        self.kinds = [I32] * len(groups[0]) + [F32] * len(groups[1])
        self.locals = [(len(groups[2]), I32), (len(groups[3]), V128)]
        self.at = {name: i for i, name in enumerate(name for group in groups for name in group)}

    def get(self, *names: str) -> bytes:
        return b"".join(b"\x20" + _unsigned(self.at[name]) for name in names)

    def put(self, name: str, value: bytes) -> bytes:
        return value + b"\x21" + _unsigned(self.at[name])

    def move(self, name: str, step: bytes) -> bytes:
        return self.put(name, self.get(name) + step + ADD)

    def each(self, name: str, last: bytes, step: int, body: Callable[[], bytes] | bytes) -> bytes:
        """``for (name = 0; name < last; name += step) body``."""
        inside = body if isinstance(body, bytes) else body()
        leave = self.get(name) + last + AT_LEAST + b"\x0d\x01"
        again = self.move(name, _constant(step)) + b"\x0c\x00"
        return self.put(name, _constant(0)) + b"\x02\x40\x03\x40" + leave + inside + again + END + END

    def clamped(self, vector: str) -> bytes:
        return self.get(vector, "low") + SPLAT + VMAX + self.get("high") + SPLAT + VMIN


def _gemm() -> tuple[_Function, bytes]:
    """out[p, o] = clamp(b[o] + Σᵢ x[p, i] w[i, o]), four pixels and eight outputs at a time.

    The last group of pixels begins early enough to be whole: there must be four or more.
    """
    f = _Function(
        "x xp xi w wi wo b out op pixels from blocks",
        "low high",
        "block p i wat x0 x1 x2 x3 at",
        "w0 w1 a00 a01 a10 a11 a20 a21 a30 a31",
    )
    rows = range(ROWS)
    start = f.put("x0", f.get("x", "p", "xp") + MUL + ADD)
    start += b"".join(f.put(f"x{r}", f.get(f"x{r - 1}", "xp") + ADD) for r in rows[1:])
    start += b"".join(f.put(f"a{r}{half}", f.get("b") + _load(16 * half)) for r in rows for half in (0, 1))
    inner = f.put("w0", f.get("wat") + _load()) + f.put("w1", f.get("wat") + _load(16))
    for r in rows:
        for half in (0, 1):
            product = f.get(f"x{r}") + BROADCAST + f.get(f"w{half}") + VMUL
            inner += f.put(f"a{r}{half}", f.get(f"a{r}{half}") + product + VADD)
        inner += f.move(f"x{r}", f.get("xi"))
    inner += f.move("wat", f.get("wi"))
    end = f.put("at", f.get("out", "p", "op") + MUL + ADD)
    for r in rows:
        end += b"".join(f.get("at") + f.clamped(f"a{r}{half}") + _store(16 * half) for half in (0, 1))
        end += f.move("at", f.get("op"))
    whole = f.get("p") + _constant(ROWS) + ADD + f.get("pixels") + b"\x4a" + IF
    whole += f.put("p", f.get("pixels") + _constant(ROWS) + SUB) + END
    group = whole + start + f.put("wat", f.get("w")) + f.each("i", f.get("from"), 1, inner) + end
    block = f.each("p", f.get("pixels"), ROWS, group)
    block += f.move("w", f.get("wo")) + f.move("b", _constant(32)) + f.move("out", _constant(32))
    return f, f.each("block", f.get("blocks"), 1, block)


def _depthwise() -> tuple[_Function, bytes]:
    """out[p, c] = clamp(b[c] + Σ over the taps of x[p + tap, c] w[tap, c]), four channels at once; outside is zero."""
    f = _Function(
        "x w b out size small stride before side channels",
        "low high",
        "row column c ky kx y t at",
        "sum",
    )
    edge = f.get("channels") + _constant(4) + MUL
    place = f.get("y", "size") + MUL + f.get("t") + ADD + edge + MUL + f.get("c") + ADD
    weight = f.get("ky", "side") + MUL + f.get("kx") + ADD + edge + MUL + f.get("c") + ADD
    product = f.get("x") + place + ADD + _load() + f.get("w") + weight + ADD + _load() + VMUL
    shifted = lambda a, k: f.get(a, "stride") + MUL + f.get("before") + SUB + f.get(k) + ADD  # noqa: E731
    across = f.put("t", shifted("column", "kx")) + f.get("t", "size") + LESS_U + IF
    across += f.put("sum", f.get("sum") + product + VADD) + END
    down = f.put("y", shifted("row", "ky")) + f.get("y", "size") + LESS_U + IF
    down += f.each("kx", f.get("side"), 1, across) + END
    channel = f.put("sum", f.get("b", "c") + ADD + _load()) + f.each("ky", f.get("side"), 1, down)
    channel += f.get("out", "c") + ADD + f.clamped("sum") + _store()
    pixel = f.each("c", edge, 16, channel) + f.move("out", edge)
    return f, f.each("row", f.get("small"), 1, f.each("column", f.get("small"), 1, pixel))


def module() -> bytes:
    """The WebAssembly module: takes a memory as ``lab.memory``, gives ``gemm`` and ``depthwise``."""
    made = [_gemm(), _depthwise()]
    types = [b"\x60" + _list([bytes([kind]) for kind in f.kinds]) + b"\x00" for f, _ in made]
    text = lambda name: _sized(name.encode())  # noqa: E731
    bodies = [_sized(_list([_unsigned(n) + bytes([kind]) for n, kind in f.locals]) + code + END) for f, code in made]
    sections = {
        1: _list(types),
        2: _list([text("lab") + text("memory") + b"\x02\x00\x01"]),  # a memory of one page or more
        3: _list([_unsigned(i) for i in range(len(made))]),
        7: _list([text(name) + b"\x00" + _unsigned(i) for i, name in enumerate(("gemm", "depthwise"))]),
        10: _list(bodies),
    }
    return b"\0asm\x01\0\0\0" + b"".join(bytes([number]) + _sized(content) for number, content in sections.items())
