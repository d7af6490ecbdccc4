#include "runtime/model/expert_parts.h"

namespace atlas {

namespace {

ExpertMatrices matrices(const Layer& layer, WeightId weight, WeightId bias, WeightId scale, uint32_t n_out) {
    return {layer[weight], layer[bias], layer[scale], n_out, 0, n_out};
}

// What every token uses, added to out. With a gate of its own it is multiplied with sigmoid(gate . h).
void add_shared(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const Tensor inner = ops.scratch(h.rows, layer.config.experts.n_ff_shared, "shared_inner");
    const Activation activation = layer.in.config.activation;
    if (layer[kFfnGateShared]) {
        ops.matmul_gated(activation, {layer[kFfnGateShared], {}, {}}, {layer[kFfnUpShared], {}, {}}, h, inner);
    } else {
        ops.matmul(layer[kFfnUpShared], h, inner);
        ops.activate(activation, inner, inner);
    }
    if (!layer[kFfnGateInpShared]) return ops.matmul_add(layer[kFfnDownShared], inner, out, out);
    const Tensor gate = ops.scratch(h.rows, 1, "shared_gate"), shared = ops.scratch(h.rows, out.cols, "shared");
    ops.matmul(layer[kFfnGateInpShared], h, gate);
    ops.matmul(layer[kFfnDownShared], inner, shared);
    ops.gated_mul(Activation::sigmoid, gate, shared, shared);
    ops.add(out, shared, out);
}

}  // namespace

void routed_feed_forward(const Layer& layer, const Router& router, const Tensor& h, const Tensor& out, Ops& ops) {
    const ExpertsConfig& experts = layer.config.experts;
    const uint32_t n_used = experts.routing.n_used, n_ff = experts.n_ff;
    const ScratchScope scope(ops);
    const Tensor routes = ops.scratch(h.rows, 2 * n_used, "routes"),
                 inner = ops.scratch(h.rows * n_used, n_ff, "experts_inner");
    {
        const ScratchScope of_router(ops);
        const Tensor logits = ops.scratch(h.rows, experts.n, "router");
        ops.matmul_add(layer[kFfnGateInp], router.input, layer[kFfnGateInpBias], logits);
        if (router.logit_scale != 1) ops.scale(logits, router.logit_scale, 0, logits);
        ops.route(logits, layer[kExpProbsBias], experts.routing, routes);
    }
    ExpertMatrices gate = matrices(layer, kFfnGateExps, kFfnGateExpsBias, kFfnGateExpsScale, n_ff);
    ExpertMatrices up = matrices(layer, kFfnUpExps, kFfnUpExpsBias, kFfnUpExpsScale, n_ff);
    if (const Tensor& both = layer[kFfnGateUpExps]) {
        gate = {both, {}, {}, n_ff, 0, 2 * n_ff};
        up = {both, {}, {}, n_ff, n_ff, 2 * n_ff};
    }
    ops.experts_up(layer.in.config.activation, gate, up, h, routes, inner);
    ops.experts_down(
        matrices(layer, kFfnDownExps, kFfnDownExpsBias, kFfnDownExpsScale, experts.width(layer.in.config.n_embd)),
        inner, routes, out);
}

namespace {

// The experts read and give a narrower vector; the router reads the activations.
void latent_feed_forward(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    const ScratchScope scope(ops);
    const uint32_t width = layer.config.experts.n_latent;
    const Tensor down = ops.scratch(h.rows, width, "latent_down"), up = ops.scratch(h.rows, width, "latent_up");
    ops.matmul(layer[kLatentDown], h, down);
    routed_feed_forward(layer, {h}, down, up, ops);
    ops.matmul(layer[kLatentUp], up, out);
}

}  // namespace

void expert_feed_forward(const Layer& layer, const Tensor& h, const Tensor& out, Ops& ops) {
    if (layer.config.experts.n == 0) return feed_forward(layer, h, out, ops);
    if (layer.config.experts.n_latent > 0)
        latent_feed_forward(layer, h, out, ops);
    else
        routed_feed_forward(layer, {h}, h, out, ops);
    if (layer[kFfnUpShared]) add_shared(layer, h, out, ops);
}

void forward_expert_decoder(const ForwardInputs& in, Ops& ops) {
    forward_decoder(in, ops, {.feed_forward = expert_feed_forward});
}

}  // namespace atlas
