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
    KeyMap keys("qwen2");
    keys.set_name(std::string(id));
    keys.set("context_length", 32768).set("attention.key_length", 64).put("attention.layer_norm_rms_epsilon", 1e-6);
    if (id == "test-281m") {
        keys.set("block_count", 16)
            .set("embedding_length", 1024)
            .set("feed_forward_length", 2816)
            .set("vocab_size", 49152);
        keys.set("attention.head_count", 16).set("attention.head_count_kv", 4);
    } else {
        keys.set("block_count", 2).set("embedding_length", 256).set("feed_forward_length", 512).set("vocab_size", 1000);
        keys.set("attention.head_count", 4).set("attention.head_count_kv", 2);
    }
    auto shape = shape_of_keys(std::move(keys), id);
    ATLAS_CHECK(shape.has_value(), "{}", shape.error().message);
    return std::move(*shape);
}

// What forward passes read; the tokenizer's keys are not needed.
void add_keys(const ShapeWish& wish, gguf::Writer& writer) {
    const ModelShape& s = wish.shape;
    writer.add("general.architecture", s.arch);
    writer.add("general.name", wish.name());
    for (const auto& [key, value] : s.keys.entries()) {
        const std::string name = s.keys.full(key);
        if (const auto* numbers = std::get_if<std::vector<int64_t>>(&value)) {
            const std::vector<int32_t> narrow(numbers->begin(), numbers->end());
            if (narrow.size() == 1)
                writer.add(name, static_cast<uint32_t>(narrow[0]));
            else
                writer.add(name, narrow);
        } else if (const auto* number = std::get_if<double>(&value)) {
            writer.add(name, static_cast<float>(*number));
        } else if (const auto* text = std::get_if<std::string>(&value)) {
            writer.add(name, *text);
        } else {
            writer.add(name, std::get<bool>(value));
        }
    }
    // Speed does not depend on this value; models of these sizes have about it.
    if (!s.keys.has("rope.freq_base")) writer.add(s.keys.full("rope.freq_base"), 1e6f);
}

/// A file in the temporary folder, removed by the destructor.
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
        return fail(ErrorCode::invalid_argument, "--shape {}: expected NAME:QUANTIZATION, as qwen2.5-coder-7b:q4_k_m",
                    text);
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
    for (const gguf::TensorInfo& t : tensors) {
        writer.add_tensor(t.name, t.shape, *t.format, [](std::span<std::byte>) {});
    }
    return writer.write_without_data(path);
}

// The head of a GGUF file without data: the loader checks it as it checks any file, and random weights replace the
// data.
Result<std::shared_ptr<const Model>> load_shape(const ShapeWish& wish, Backend& backend, const SessionShape& session) {
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
    if (error) return fail(ErrorCode::io, "no folder for temporary files: {}", error.message());
    const TemporaryFile head{folder / fmt::format("atlas-vk-shape-{:08x}.gguf", std::random_device{}())};
    ATLAS_TRY_VOID(write_shape(wish, head.path));
    ATLAS_TRY(const gguf::File file, gguf::File::open(head.path));
    RandomWeights random(backend);
    return Model::load_filled(file, backend, session, [&](const ResolvedWeight& weight, Storage& to, uint64_t at) {
        return random.fill(weight, to, at);
    });
}

}  // namespace atlas::bench
