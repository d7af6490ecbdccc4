#pragma once
// The source of a model's numbers: the keys of a GGUF file, or the same keys of a model that the catalogue knows.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"

namespace atlas {

/// Keys go without their prefix: "block_count" stands for "<architecture>.block_count".
class KeySource {
  public:
    virtual ~KeySource() = default;

    virtual std::string architecture() const = 0;
    virtual std::string name() const = 0;  // general.name; may be empty
    virtual bool has(std::string_view key) const = 0;
    /// One number, or one per layer. Fails: not_found, corrupt (no integers).
    virtual Result<std::vector<int64_t>> integers(std::string_view key) const = 0;
    /// Fails: not_found, corrupt (no number).
    virtual Result<float> number(std::string_view key) const = 0;
    /// Fails: not_found, corrupt (no text).
    virtual Result<std::string> text(std::string_view key) const = 0;
    /// The fallback stands in for a missing key.
    virtual bool flag_or(std::string_view key, bool fallback) const = 0;
    /// Rows of the embedding. Fails: not_found, corrupt.
    virtual Result<uint32_t> n_vocab() const = 0;

    /// As messages and files name it: "llama.block_count".
    std::string full(std::string_view key) const { return architecture() + "." + std::string(key); }
};

}  // namespace atlas
