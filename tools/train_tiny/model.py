"""The network: llama (RMSNorm, rotary positions on neighbouring pairs, grouped query attention, SwiGLU, tied embedding).

Rotary positions rotate the elements 2i and 2i+1 as a pair. That is what the GGUF architecture `llama` does, so the rows of
the query and key matrices need no permutation on export.
"""

import jax
import jax.numpy as jnp

VOCAB, WIDTH, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN = 4096, 256, 5, 4, 2, 64, 768
CONTEXT, ROPE_BASE, EPSILON = 512, 10000.0, 1e-5


def init(key):
    """Weights as [layer, in, out]; all layers in one array so that the layer loop is a scan."""
    shapes = {"wq": (WIDTH, HEADS * HEAD_DIM), "wk": (WIDTH, KV_HEADS * HEAD_DIM), "wv": (WIDTH, KV_HEADS * HEAD_DIM),
              "wo": (HEADS * HEAD_DIM, WIDTH), "gate": (WIDTH, FFN), "up": (WIDTH, FFN), "down": (FFN, WIDTH)}
    keys = dict(zip(shapes, jax.random.split(key, len(shapes))))
    params = {}
    for name, (rows, cols) in shapes.items():
        scale = rows ** -0.5 / ((2 * LAYERS) ** 0.5 if name in ("wo", "down") else 1.0)
        params[name] = jax.random.normal(keys[name], (LAYERS, rows, cols)) * scale
    params["norm_attn"] = jnp.ones((LAYERS, WIDTH))
    params["norm_ffn"] = jnp.ones((LAYERS, WIDTH))
    params["norm_out"] = jnp.ones((WIDTH,))
    params["embed"] = jax.random.normal(jax.random.fold_in(key, 1), (VOCAB, WIDTH)) * 0.02
    return params


def rms_norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON) * weight


def rope(x):
    """x: [batch, time, heads, head_dim]"""
    time = x.shape[1]
    freq = ROPE_BASE ** (-jnp.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angle = jnp.arange(time)[:, None] * freq[None, :]
    cos, sin = jnp.cos(angle)[None, :, None, :], jnp.sin(angle)[None, :, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(x.shape)


def attention(x, w):
    batch, time, _ = x.shape
    q = rope((x @ w["wq"]).reshape(batch, time, HEADS, HEAD_DIM))
    k = rope((x @ w["wk"]).reshape(batch, time, KV_HEADS, HEAD_DIM))
    v = (x @ w["wv"]).reshape(batch, time, KV_HEADS, HEAD_DIM)
    q = q.reshape(batch, time, KV_HEADS, HEADS // KV_HEADS, HEAD_DIM)
    score = jnp.einsum("btgrd,bsgd->bgrts", q, k) * HEAD_DIM ** -0.5
    score = jnp.where(jnp.tril(jnp.ones((time, time), bool)), score, -1e30)
    out = jnp.einsum("bgrts,bsgd->btgrd", jax.nn.softmax(score, -1), v)
    return out.reshape(batch, time, HEADS * HEAD_DIM) @ w["wo"]


def layer(x, w):
    x = x + attention(rms_norm(x, w["norm_attn"]), w)
    h = rms_norm(x, w["norm_ffn"])
    return x + (jax.nn.silu(h @ w["gate"]) * (h @ w["up"])) @ w["down"]


def forward(params, tokens):
    """tokens: [batch, time] -> logits [batch, time, VOCAB]"""
    x = params["embed"][tokens]
    stacked = {k: v for k, v in params.items() if k not in ("embed", "norm_out")}
    for i in range(LAYERS):
        x = layer(x, {k: v[i] for k, v in stacked.items()})
    return rms_norm(x, params["norm_out"]) @ params["embed"].T


def loss(params, tokens, mask=None):
    """Mean negative log likelihood of tokens[:, 1:]."""
    logits = forward(params, tokens[:, :-1])
    target = tokens[:, 1:]
    nll = jax.nn.logsumexp(logits, -1) - jnp.take_along_axis(logits, target[..., None], -1)[..., 0]
    return jnp.mean(nll) if mask is None else jnp.sum(nll * mask) / jnp.sum(mask)
