#include "tools/importance.h"

#include <cmath>
#include <cstring>

#include "runtime/gguf/intact.h"
#include "runtime/gguf/reader.h"

namespace atlas::tools {
namespace {

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";

Result<std::vector<float>> floats_of(const gguf::File& file, const gguf::TensorInfo& tensor) {
    if (tensor.format != Format::f32) {
        return fail(ErrorCode::corrupt, "tensor {} has type {}, an importance matrix has f32", tensor.name,
                    tensor.gguf_type);
    }
    const auto bytes = file.data(tensor);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
    return values;
}

// Sums divided by counts, which are one per matrix. An expert that saw no token has no weights (zeros).
Result<std::vector<float>> means_of(const gguf::File& file, const gguf::TensorInfo& sums, const std::string& name) {
    const gguf::TensorInfo* counts = file.find_tensor(name + std::string(kCounts));
    if (counts == nullptr) return fail(ErrorCode::corrupt, "there is {}, but no {}{}", sums.name, name, kCounts);
    ATLAS_TRY(auto means, floats_of(file, sums));
    ATLAS_TRY(const auto count, floats_of(file, *counts));
    if (count.empty() || means.size() % count.size() != 0) {
        return fail(ErrorCode::corrupt, "{} has {} sums for {} counts", sums.name, means.size(), count.size());
    }
    const size_t columns = means.size() / count.size();
    for (size_t i = 0; i < means.size(); ++i) {
        const float n = count[i / columns];
        means[i] = n > 0 ? means[i] / n : 0;
        if (!std::isfinite(means[i]) || means[i] < 0) {
            return fail(ErrorCode::corrupt, "{}: element {} is {}, not a mean square", sums.name, i, means[i]);
        }
    }
    return means;
}

}  // namespace

Result<Importance> read_importance(const std::filesystem::path& path) {
    ATLAS_TRY(const auto file, gguf::File::open(path));
    Importance importance;
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        if (!tensor.name.ends_with(kSums)) continue;
        const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
        auto means = means_of(file, tensor, name);
        if (!means) return fail_in(path.string(), std::move(means).error());
        importance[name] = *std::move(means);
    }
    ATLAS_TRY_VOID(gguf::check_intact(file));
    if (importance.empty()) {
        return fail(ErrorCode::invalid_argument,
                    "{} holds no importance matrix: no tensor ends in {} (made by llama-imatrix?)", path.string(),
                    kSums);
    }
    return importance;
}

}  // namespace atlas::tools
