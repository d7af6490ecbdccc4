"""Train the network for a given wall-clock time.

Usage: train.py WORKDIR MINUTES [--chat]

The learning rate follows a cosine over time instead of steps: on a machine that others use too, only the time is known
in advance. A checkpoint is written every few minutes, so training can be stopped at any time. --chat starts from the last
checkpoint, at a lower rate, and takes half of every batch from the conversations.
"""

import functools
import math
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import model

BATCH, FLOOR, CHECKPOINT_SECONDS = 4, 0.02, 240
PEAK, PEAK_CHAT, WARM_UP_STEPS = 2.5e-3, 1.5e-3, 40


def optimizer():
    def decays(params):  # norms and the embedding do not decay
        return {name: value.ndim == 3 for name, value in params.items()}

    return optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b1=0.9, b2=0.97),
                       optax.add_decayed_weights(0.1, mask=decays))


@functools.partial(jax.jit, donate_argnums=(0, 1))
def train_step(params, state, tokens, rate):
    value, gradient = jax.value_and_grad(model.loss)(params, tokens)
    update, state = optimizer().update(gradient, state, params)
    return jax.tree.map(lambda p, u: p - rate * u, params, update), state, value


def rate_at(peak, step, fraction):
    cosine = FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1.0)))
    return peak * min(1.0, (step + 1) / WARM_UP_STEPS) * cosine


def windows(ids, seed, batch=BATCH):
    """Batches of non-overlapping windows in random order, each epoch with another offset."""
    rng = np.random.default_rng(seed)
    while True:
        offset = rng.integers(model.CONTEXT)
        count = (len(ids) - offset - 1) // model.CONTEXT
        order = rng.permutation(count)
        for start in range(0, count - batch + 1, batch):
            rows = order[start:start + batch] * model.CONTEXT + offset
            yield np.stack([ids[r:r + model.CONTEXT + 1] for r in rows]).astype(np.int32)


def evaluate(params, ids, batches=None):
    """Mean negative log likelihood over non-overlapping windows; each window starts without history."""
    compiled = jax.jit(model.loss)
    count = (len(ids) - 1) // model.CONTEXT
    rows = np.arange(count)
    if batches:
        rows = np.linspace(0, count - 1, batches * BATCH).astype(int)
    losses = []
    for start in range(0, len(rows) - BATCH + 1, BATCH):
        tokens = np.stack([ids[r * model.CONTEXT:(r + 1) * model.CONTEXT + 1] for r in rows[start:start + BATCH]])
        losses.append(float(compiled(params, tokens.astype(np.int32))))
    return sum(losses) / len(losses)


def save(work, params, step):
    partial = work / "checkpoint.part.npz"
    np.savez(partial, step=step, **params)
    partial.replace(work / "checkpoint.npz")


def load(work):
    stored = np.load(work / "checkpoint.npz")
    return {k: jnp.asarray(stored[k]) for k in stored.files if k != "step"}, int(stored["step"])


def main():
    work, minutes = pathlib.Path(sys.argv[1]), float(sys.argv[2])
    train_ids, heldout_ids = np.load(work / "train.npy"), np.load(work / "heldout.npy")
    chat = "--chat" in sys.argv
    params, step = load(work) if chat else (model.init(jax.random.key(0)), 0)
    batches, peak, first_step = windows(train_ids, seed=step), PEAK, step
    if chat:
        pairs = zip(windows(train_ids, step, BATCH // 2), windows(np.load(work / "chat.npy"), step, BATCH // 2))
        batches, peak = (np.concatenate(pair) for pair in pairs), PEAK_CHAT
    state = optimizer().init(params)
    begun = saved = time.time()
    recent = []
    with open(work / "train.log", "a") as log:
        for tokens in batches:
            fraction = (time.time() - begun) / (60 * minutes)
            rate = rate_at(peak, step - first_step, fraction)
            params, state, value = train_step(params, state, tokens, rate)
            recent.append(float(value))
            step += 1
            last = fraction >= 1
            if step % 50 == 0 or last:
                seconds = time.time() - begun
                line = f"step {step} tokens {step * BATCH * model.CONTEXT} seconds {seconds:.0f} rate {rate:.2e} " \
                       f"train {sum(recent) / len(recent):.4f}"
                recent = []
                if last or time.time() - saved > CHECKPOINT_SECONDS:
                    save(work, params, step)
                    saved = time.time()
                    line += f" val {evaluate(params, heldout_ids, None if last else 8):.4f}"
                print(line, file=log, flush=True)
            if last:
                break


if __name__ == "__main__":
    main()
