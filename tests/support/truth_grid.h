#pragma once
// Models that are shaped like those of the catalogue and small enough to be loaded two hundred times.

#include <string>
#include <vector>

#include "runtime/planner/fit.h"

namespace atlas::testing {

/// What all of them share, so that the list below shows what makes each one special.
inline ModelShape small_model(std::string id, std::string arch, uint32_t n_embd, uint32_t n_head, uint32_t n_head_kv, uint32_t head_dim) {
    ModelShape shape;
    shape.id = std::move(id);
    shape.arch = std::move(arch);
    shape.n_layer = 3;
    shape.n_embd = n_embd;
    shape.n_head = n_head;
    shape.n_head_kv = n_head_kv;
    shape.head_dim = shape.v_head_dim = head_dim;
    shape.n_ff = n_embd * 3;
    shape.n_vocab = 3001;  // no multiple of anything
    shape.n_ctx = 32768;
    return shape;
}

inline std::vector<ModelShape> shapes_like_the_catalogue() {
    std::vector<ModelShape> all;
    all.push_back(small_model("grouped heads, as Qwen2.5", "qwen2", 512, 8, 2, 64));
    all.push_back(small_model("as many KV heads, as Llama 2", "llama", 512, 8, 8, 64));
    all.push_back(small_model("wide vocabulary, tied, as Qwen2.5 0.5B", "qwen2", 256, 4, 2, 64));
    all.back().n_vocab = 151936, all.back().tied = true, all.back().n_layer = 2;
    all.push_back(small_model("heads not n_embd / n_head, as Mistral Nemo", "llama", 640, 4, 2, 128));
    all.push_back(small_model("rows of no 256, tied, as SmolLM2", "llama", 192, 3, 1, 64));
    all.back().tied = true, all.back().n_ff = 512;
    all.push_back(small_model("rope factors, as Llama 3", "llama", 512, 4, 1, 128));
    all.back().rope_factors = true;
    all.push_back(small_model("feed-forward of no 256, as Qwen2.5 72B", "qwen2", 256, 4, 1, 64));
    all.back().n_ff = 29568 / 32;
    all.push_back(small_model("deep and narrow", "llama", 256, 4, 4, 64));
    all.back().n_layer = 11;
    return all;
}

struct TruthCase {
    ModelShape shape;
    std::string quant;
    uint32_t n_ctx = 0;
    KvFormats kv;
    bool draft = false;  // with a model of one layer of the same kind beside it

    std::string name() const { return fmt::format("{}, {}, {} tokens, {}{}", shape.id, quant, n_ctx, name_of(kv), draft ? ", with a draft" : ""); }
};

inline ModelShape draft_of(const ModelShape& shape) {
    ModelShape draft = shape;
    draft.id = "draft of " + shape.id;
    draft.n_layer = 1;
    draft.n_ff = 768;
    return draft;
}

/// 200 cases: eight shapes with 25 each, in which every quantization, context, cache and the draft come up with every shape.
inline std::vector<TruthCase> truth_grid() {
    const std::vector<std::string> quants{"Q4_K_M", "Q8_0", "Q4_0", "F16", "Q6_K", "Q5_K_M", "Q3_K_M", "IQ4_XS", "Q2_K"};
    const std::vector<uint32_t> contexts{1, 700, 4096, 16384, 31, 32768, 33};
    const std::vector<KvFormats> caches{Format::f16, Format::q8_0, Format::q4_0, {Format::q8_0, Format::q4_0}, {Format::f16, Format::q5_1}, Format::f32};
    std::vector<TruthCase> cases;
    for (const ModelShape& shape : shapes_like_the_catalogue()) {
        for (size_t i = 0; i < 25; ++i) {
            // Steps without a common divisor with the lists' lengths.
            cases.push_back({shape, quants[(i * 2) % quants.size()], contexts[(i * 3) % contexts.size()], caches[(i * 5) % caches.size()], i % 4 == 3});
        }
    }
    return cases;
}

}  // namespace atlas::testing
