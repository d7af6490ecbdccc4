#include "runtime/model/file_keys.h"

#include "runtime/model/limits.h"

namespace atlas {

std::string FileKeys::architecture() const { return std::string(file_.string_or("general.architecture", "")); }
std::string FileKeys::name() const { return std::string(file_.string_or("general.name", "")); }
bool FileKeys::has(std::string_view key) const { return file_.find(full(key)) != nullptr; }
Result<float> FileKeys::number(std::string_view key) const { return file_.f32(full(key)); }
bool FileKeys::flag_or(std::string_view key, bool fallback) const { return file_.boolean_or(full(key), fallback); }

Result<std::vector<int64_t>> FileKeys::integers(std::string_view key) const {
    const std::string name = full(key);
    // A flag per layer counts as 0 or 1.
    if (const gguf::KeyValue* found = file_.find(name)) {
        if (const auto* flags = std::get_if<std::vector<bool>>(&found->value))
            return std::vector<int64_t>(flags->begin(), flags->end());
    }
    return file_.integers(name);
}

Result<std::string> FileKeys::text(std::string_view key) const {
    ATLAS_TRY(const std::string_view found, file_.string(full(key)));
    return std::string(found);
}

Result<uint32_t> FileKeys::n_vocab() const {
    const gguf::TensorInfo* embedding = file_.find_tensor("token_embd.weight");
    if (embedding == nullptr) {
        return fail(ErrorCode::not_found, "token_embd.weight: no such tensor (a vocabulary-only file cannot be run)");
    }
    const uint64_t rows = embedding->shape.empty() ? 0 : embedding->shape[0];
    if (embedding->shape.size() != 2 || rows < 1 || rows > kMaxVocab) {
        return fail(ErrorCode::corrupt, "token_embd.weight: expected a matrix of 1 .. {} rows, found shape [{}]",
                    kMaxVocab, fmt::join(embedding->shape, ", "));
    }
    return static_cast<uint32_t>(rows);
}

}  // namespace atlas
