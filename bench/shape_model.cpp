#include "bench/shape_model.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include "bench/random_weights.h"
#include "quant/recipe.h"
#include "runtime/gguf/writer.h"
#include "runtime/planner/catalogue.h"
#include "runtime/planner/sizes.h"

namespace atlas::bench {

namespace {

/// The shape that llama.cpp is compared with on software devices (no published model), and one for tests.
ModelShape test_shape(std::string_view id) {
    ModelShape shape;
    shape.id = id;
    shape.arch = "qwen2";
    shape.n_ctx = 32768;
    if (id == "test-281m") {
        shape.n_layer = 16, shape.n_embd = 1024, shape.n_head = 16, shape.n_head_kv = 4, shape.n_ff = 2816, shape.n_vocab = 49152;
    } else {
        shape.n_layer = 2, shape.n_embd = 256, shape.n_head = 4, shape.n_head_kv = 2, shape.n_ff = 512, shape.n_vocab = 1000;
    }
    shape.head_dim = shape.v_head_dim = 64;
    return shape;
}

// What forward passes read; the tokenizer's keys are not needed.
void add_keys(const ShapeWish& wish, gguf::Writer& writer) {
    const ModelShape& s = wish.shape;
    const auto add = [&](std::string_view key, auto value) { writer.add(fmt::format("{}.{}", s.arch, key), value); };
    writer.add("general.architecture", s.arch);
    writer.add("general.name", wish.name());
    add("block_count", s.n_layer);
    add("context_length", s.n_ctx);
    add("embedding_length", s.n_embd);
    add("feed_forward_length", s.n_ff);
    add("attention.head_count", s.n_head);
    add("attention.head_count_kv", s.n_head_kv);
    add("attention.key_length", s.head_dim);
    add("attention.value_length", s.v_head_dim == 0 ? s.head_dim : s.v_head_dim);
    add("attention.layer_norm_rms_epsilon", 1e-6f);
    add("rope.freq_base", 1e6f);
    if (s.n_expert > 0) add("expert_count", s.n_expert);
}

/// A file under the temporary folder that is gone at the end.
struct TemporaryFile {
    std::filesystem::path path;
    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
};

}  // namespace

Result<ShapeWish> find_shape(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return fail(ErrorCode::invalid_argument, "--shape {}: expected NAME:QUANTIZATION, as qwen2.5-coder-7b:q4_k_m", text);
    }
    ShapeWish wish;
    const std::string_view name = text.substr(0, colon);
    if (name == "test-281m" || name == "test-tiny") {
        wish.shape = test_shape(name);
    } else {
        ATLAS_TRY(const Catalogue catalogue, load_catalogue({}));
        ATLAS_TRY(const CatalogueModel* model, catalogue.find_model(name));
        wish.shape = model->shape;
    }
    wish.quantization = text.substr(colon + 1);
    std::transform(wish.quantization.begin(), wish.quantization.end(), wish.quantization.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
    ATLAS_TRY_VOID(quantized_tensors(wish.shape, wish.quantization, false).map([](const auto&) {}));
    return wish;
}

Result<void> write_shape(const ShapeWish& wish, const std::filesystem::path& path) {
    ATLAS_TRY(const auto tensors, quantized_tensors(wish.shape, wish.quantization, false));
    gguf::Writer writer;
    add_keys(wish, writer);
    for (const QuantizedTensor& t : tensors) {
        writer.add_tensor(t.tensor.name, t.tensor.shape, t.format, [](std::span<std::byte>) {});
    }
    return writer.write_without_data(path);
}

// The head of a GGUF file with nothing behind it: the loader checks it as it checks any file, and the random weights take the place of data.
Result<std::shared_ptr<const Model>> load_shape(const ShapeWish& wish, Backend& backend, const SessionShape& session) {
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
    if (error) return fail(ErrorCode::io, "no folder for temporary files: {}", error.message());
    const TemporaryFile head{folder / fmt::format("atlas-vk-shape-{:08x}.gguf", std::random_device{}())};
    ATLAS_TRY_VOID(write_shape(wish, head.path));
    ATLAS_TRY(const gguf::File file, gguf::File::open(head.path));
    RandomWeights random(backend);
    return Model::load_filled(file, backend, session, [&](const ResolvedWeight& weight, Storage& to, uint64_t at) { return random.fill(weight, to, at); });
}

}  // namespace atlas::bench
