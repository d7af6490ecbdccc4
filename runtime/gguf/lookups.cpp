// The typed look-ups of File.
#include <cmath>
#include <limits>

#include "runtime/base/in_quotes.h"
#include "runtime/gguf/parts.h"

namespace atlas::gguf {
namespace {

std::string stored_as(const KeyValue& entry) {
    return fmt::format("{}{}", entry.is_array ? "an array of " : "", value_type_name(entry.type));
}

tl::unexpected<Error> wrong_type(std::string_view file, const KeyValue& entry, std::string_view expected) {
    return fail(ErrorCode::corrupt, "{}: key {}: expected {}, found {}", file, in_quotes(entry.key), expected,
                stored_as(entry));
}

}  // namespace

Result<const KeyValue*> File::require(std::string_view key) const {
    if (const KeyValue* entry = find(key)) return entry;
    return fail(ErrorCode::not_found, "{}: key {} is missing", parts_->name, in_quotes(key));
}

Result<uint32_t> File::u32(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
    if (const auto* number = std::get_if<uint64_t>(&entry->value)) {
        if (*number <= kMax) return static_cast<uint32_t>(*number);
        return fail(ErrorCode::corrupt, "{}: key {}: expected at most {}, found {}", parts_->name, in_quotes(key), kMax,
                    *number);
    }
    if (const auto* number = std::get_if<int64_t>(&entry->value)) {
        if (*number >= 0 && static_cast<uint64_t>(*number) <= kMax) return static_cast<uint32_t>(*number);
        return fail(ErrorCode::corrupt, "{}: key {}: expected 0 to {}, found {}", parts_->name, in_quotes(key), kMax,
                    *number);
    }
    return wrong_type(parts_->name, *entry, "a whole number");
}

Result<float> File::f32(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    const auto* number = std::get_if<double>(&entry->value);
    if (!number) return wrong_type(parts_->name, *entry, "a float");
    if (std::isfinite(*number) && std::abs(*number) > static_cast<double>(std::numeric_limits<float>::max())) {
        return fail(ErrorCode::corrupt, "{}: key {}: expected a number that fits an f32, found {}", parts_->name,
                    in_quotes(key), *number);
    }
    return static_cast<float>(*number);
}

Result<bool> File::boolean(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    if (const auto* value = std::get_if<bool>(&entry->value)) return *value;
    return wrong_type(parts_->name, *entry, "a bool");
}

Result<std::string_view> File::string(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    if (const auto* value = std::get_if<std::string>(&entry->value)) return std::string_view(*value);
    return wrong_type(parts_->name, *entry, "a string");
}

Result<std::span<const std::string>> File::strings(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    if (const auto* values = std::get_if<std::vector<std::string>>(&entry->value))
        return std::span<const std::string>(*values);
    return wrong_type(parts_->name, *entry, "an array of strings");
}

Result<std::span<const float>> File::floats(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    if (const auto* values = std::get_if<std::vector<float>>(&entry->value)) return std::span<const float>(*values);
    return wrong_type(parts_->name, *entry, "an array of f32");
}

Result<std::vector<int64_t>> File::integers(std::string_view key) const {
    ATLAS_TRY(const KeyValue* entry, require(key));
    if (const auto* values = std::get_if<std::vector<int64_t>>(&entry->value)) return *values;
    if (const auto* value = std::get_if<int64_t>(&entry->value)) return std::vector<int64_t>{*value};
    std::span<const uint64_t> values;
    if (const auto* many = std::get_if<std::vector<uint64_t>>(&entry->value)) {
        values = *many;
    } else if (const auto* one = std::get_if<uint64_t>(&entry->value)) {
        values = {one, 1};
    } else {
        return wrong_type(parts_->name, *entry, "a whole number, or an array of them");
    }
    std::vector<int64_t> out;
    out.reserve(values.size());
    for (const uint64_t value : values) {
        if (value > static_cast<uint64_t>(INT64_MAX)) {
            return fail(ErrorCode::corrupt, "{}: key {}: expected at most {}, found {}", parts_->name, in_quotes(key),
                        INT64_MAX, value);
        }
        out.push_back(static_cast<int64_t>(value));
    }
    return out;
}

uint32_t File::u32_or(std::string_view key, uint32_t fallback) const { return u32(key).value_or(fallback); }
float File::f32_or(std::string_view key, float fallback) const { return f32(key).value_or(fallback); }
bool File::boolean_or(std::string_view key, bool fallback) const { return boolean(key).value_or(fallback); }
std::string_view File::string_or(std::string_view key, std::string_view fallback) const {
    return string(key).value_or(fallback);
}

}  // namespace atlas::gguf
