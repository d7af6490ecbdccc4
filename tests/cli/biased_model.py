"""The tiny model of the tests as a Qwen2 model whose keys have a bias, to test the warnings about a cache that hurts such models."""
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY, F32 = 8, 9, 0


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 4

    def number(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def text(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            element, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(element)
        else:
            self.number(SCALARS[kind])


def text(string):
    return struct.pack("<Q", len(string)) + string.encode()


def write_biased(source, path, bias):
    """Writes `source`, a GGUF file of a llama model, as one of qwen2 with `bias` on one element of every layer's keys: one that rope rotates fast, so that
    no constant removes it."""
    data = source.read_bytes()
    read = Reader(data)
    version, n_tensors, n_keys = read.number("I"), read.number("Q"), read.number("Q")
    keys = b""
    for _ in range(n_keys):
        key, kind, begin = read.text(), read.number("I"), read.at
        read.skip(kind)
        value = text("qwen2") if key == "general.architecture" else data[begin:read.at]
        keys += text(key.replace("llama.", "qwen2.", 1)) + struct.pack("<I", kind) + value
    tensors, end, widths = b"", 0, {}
    for _ in range(n_tensors):
        begin, name = read.at, read.text()
        shape = [read.number("Q") for _ in range(read.number("I"))]
        read.number("I")
        end = max(end, read.number("Q"))
        tensors += data[begin:read.at]
        if name.endswith((".attn_q.weight", ".attn_k.weight", ".attn_v.weight")):
            widths[name.replace(".weight", ".bias")] = shape[1]
    begin = (read.at + 31) // 32 * 32
    body = data[begin:]
    for name, width in sorted(widths.items()):
        body += bytes(-len(body) % 32)
        tensors += text(name) + struct.pack("<IQIQ", 1, width, F32, len(body))
        values = [bias if "attn_k" in name and i == 0 else 0.0 for i in range(width)]
        body += struct.pack(f"<{width}f", *values)
    head = b"GGUF" + struct.pack("<IQQ", version, n_tensors + len(widths), n_keys) + keys + tensors
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return path
