#include "runtime/model/key_map.h"

#include "runtime/model/limits.h"

namespace atlas {

KeyMap& KeyMap::put(std::string_view key, Value value) {
    entries_.insert_or_assign(std::string(key), std::move(value));
    return *this;
}

template <class T>
Result<T> KeyMap::get(std::string_view key, std::string_view expected) const {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return fail(ErrorCode::not_found, "{}: missing", full(key));
    if (const T* value = std::get_if<T>(&found->second)) return *value;
    return fail(ErrorCode::corrupt, "{}: expected {}", full(key), expected);
}

Result<std::vector<int64_t>> KeyMap::integers(std::string_view key) const {
    return get<std::vector<int64_t>>(key, "whole numbers");
}

Result<float> KeyMap::number(std::string_view key) const {
    if (const auto whole = get<std::vector<int64_t>>(key, ""); whole && whole->size() == 1)
        return static_cast<float>(whole->front());
    ATLAS_TRY(const double value, get<double>(key, "a number"));
    return static_cast<float>(value);
}

Result<std::string> KeyMap::text(std::string_view key) const { return get<std::string>(key, "a text"); }

bool KeyMap::flag_or(std::string_view key, bool fallback) const { return get<bool>(key, "").value_or(fallback); }

Result<uint32_t> KeyMap::n_vocab() const {
    ATLAS_TRY(const std::vector<int64_t> found, integers("vocab_size"));
    if (found.size() != 1 || found[0] < 1 || found[0] > kMaxVocab) {
        return fail(ErrorCode::corrupt, "{}: expected 1 .. {}, found {}", full("vocab_size"), kMaxVocab,
                    fmt::join(found, ", "));
    }
    return static_cast<uint32_t>(found[0]);
}

}  // namespace atlas
