#pragma once
// Which pre-tokenizer a vocabulary was trained with, for files that do not say (written before GGUF had the key, or by
// other converters).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/text/pre_tokenizers.h"
#include "runtime/text/vocabulary.h"

namespace atlas {

struct InferredPreTokenizer {
    std::string_view name;  // of a row of pre_tokenizers()
    std::string reason;     // for the user
};

/// First by the fingerprint of the merges, which identifies published vocabularies exactly. Otherwise by the tokens: a
/// token never crosses a cut of the pre-tokenizer that it was learned under, so the right row cuts (nearly) none of
/// them. Of the rows that do so, the one that the model's name or architecture suggests, then a widely used one, then
/// the one that cuts other text most; they differ only in rare texts.
InferredPreTokenizer infer_pre_tokenizer(const Vocabulary& vocabulary);

/// FNV-1a, 64 bits, over all merges, a line feed after each.
uint64_t fingerprint(std::span<const std::string> merges);

}  // namespace atlas
