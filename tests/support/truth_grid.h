#pragma once
// Models that have the shapes of those of the catalogue and are small enough to be loaded two hundred times.

#include <string>
#include <vector>

#include "runtime/planner/fit.h"

namespace atlas::testing {

/// What all of them share, so that the list below shows what is special about each one.
inline KeyMap small_model(std::string id, std::string arch, uint32_t n_embd, uint32_t n_head, uint32_t n_head_kv,
                          uint32_t head_dim) {
    KeyMap keys(std::move(arch));
    keys.set_name(std::move(id));
    keys.set("block_count", 3)
        .set("embedding_length", n_embd)
        .set("attention.head_count", n_head)
        .set("attention.head_count_kv", n_head_kv);
    keys.set("attention.key_length", head_dim).set("feed_forward_length", n_embd * 3).set("context_length", 32768);
    keys.set("vocab_size", 3001);  // not a multiple of anything
    keys.put("attention.layer_norm_rms_epsilon", 1e-6);
    return keys;
}

inline ModelShape shape_of(const KeyMap& keys) {
    auto shape = shape_of_keys(keys, keys.name());
    ATLAS_CHECK(shape.has_value(), "{}", shape.error().message);
    return std::move(*shape);
}

inline std::vector<ModelShape> shapes_like_the_catalogue() {
    std::vector<ModelShape> all;
    all.push_back(shape_of(small_model("grouped heads, as Qwen2.5", "qwen2", 512, 8, 2, 64)));
    all.push_back(shape_of(small_model("as many KV heads, as Llama 2", "llama", 512, 8, 8, 64)));
    all.push_back(shape_of(small_model("wide vocabulary, tied, as Qwen2.5 0.5B", "qwen2", 256, 4, 2, 64)
                               .set("vocab_size", 151936)
                               .set("block_count", 2)));
    all.back().tied = true;
    all.push_back(shape_of(small_model("heads not n_embd / n_head, as Mistral Nemo", "llama", 640, 4, 2, 128)));
    all.push_back(shape_of(
        small_model("rows of no 256, tied, as SmolLM2", "llama", 192, 3, 1, 64).set("feed_forward_length", 512)));
    all.back().tied = true;
    all.push_back(shape_of(small_model("rope factors, as Llama 3", "llama", 512, 4, 1, 128)));
    all.back().rope_factors = true;
    all.push_back(shape_of(small_model("feed-forward of no 256, as Qwen2.5 72B", "qwen2", 256, 4, 1, 64)
                               .set("feed_forward_length", 29568 / 32)));
    all.push_back(shape_of(small_model("deep and narrow", "llama", 256, 4, 4, 64).set("block_count", 11)));
    all.push_back(shape_of(small_model("norms of heads, as Qwen3", "qwen3", 256, 4, 2, 128)));
    return all;
}

struct TruthCase {
    ModelShape shape;
    std::string quant;
    uint32_t n_ctx = 0;
    KvFormats kv;
    bool draft = false;  // with a model of one layer of the same kind beside it

    std::string name() const {
        return fmt::format("{}, {}, {} tokens, {}{}", shape.id, quant, n_ctx, name_of(kv),
                           draft ? ", with a draft" : "");
    }
};

inline ModelShape draft_of(const ModelShape& shape) {
    KeyMap keys = shape.keys;
    keys.set_name("draft of " + shape.id);
    ModelShape draft = shape_of(keys.set("block_count", 1).set("feed_forward_length", 768));
    draft.tied = shape.tied;
    draft.rope_factors = shape.rope_factors;
    return draft;
}

/// 225 cases: nine shapes with 25 each, in which every quantization, context, cache and the draft model occur with
/// every shape.
inline std::vector<TruthCase> truth_grid() {
    const std::vector<std::string> quants{"Q4_K_M", "Q8_0",   "Q4_0",   "F16", "Q6_K",
                                          "Q5_K_M", "Q3_K_M", "IQ4_XS", "Q2_K"};
    const std::vector<uint32_t> contexts{1, 700, 4096, 16384, 31, 32768, 33};
    const std::vector<KvFormats> caches{
        Format::f16, Format::q8_0, Format::q4_0, {Format::q8_0, Format::q4_0}, {Format::f16, Format::q5_1},
        Format::f32};
    std::vector<TruthCase> cases;
    for (const ModelShape& shape : shapes_like_the_catalogue()) {
        for (size_t i = 0; i < 25; ++i) {
            // Steps without a common divisor with the lists' lengths.
            cases.push_back({shape, quants[(i * 2) % quants.size()], contexts[(i * 3) % contexts.size()],
                             caches[(i * 5) % caches.size()], i % 4 == 3});
        }
    }
    return cases;
}

}  // namespace atlas::testing
