#pragma once
// Bounds on the numbers that untrusted files state about a model, and consistency checks that hold for every
// architecture. Everything that computes with such numbers (loading, planning, quantizing) checks them here first.

#include <cstdint>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"

namespace atlas {

// Far above every published model, low enough that no product of two overflows 64 bits.
inline constexpr uint32_t kMaxLayers = 1024;
inline constexpr uint32_t kMaxWidth = 1u << 18;
inline constexpr uint32_t kMaxHeads = 1024;
inline constexpr uint32_t kMaxVocab = 1u << 22;
inline constexpr uint32_t kMaxContext = 1u << 26;
inline constexpr uint32_t kMaxExperts = 4096;
inline constexpr uint32_t kMaxConvWidth = 64;           // inputs of a short convolution
inline constexpr uint64_t kMaxStateNumbers = 1u << 28;  // 1 GiB for each text, hundreds of times what models have

struct HeadCounts {
    uint32_t n_head = 0;
    uint32_t n_head_kv = 0;  // divides n_head
};

/// Whether these can be the heads of one model. `where` names their owner in messages: "llama.attention.",
/// "catalogue.json: models 3: ".
/// Fails: corrupt (which number, what was expected and what was found).
Result<HeadCounts> check_head_counts(std::string_view where, int64_t n_head, int64_t n_head_kv);

/// "<architecture>.attention.head_count" and "..._kv" (without it as many as heads) of a file of any architecture,
/// checked. Where layers differ, the largest of each. Fails: not_found (no head_count), corrupt.
Result<HeadCounts> read_head_counts(const gguf::File& file, std::string_view architecture);

}  // namespace atlas
