#pragma once
// The table of pre-tokenizers: how a byte-level BPE model cuts text into words before it merges. A fact of each model, known by
// the name in `tokenizer.ggml.pre`.

#include <span>
#include <string_view>

namespace atlas {

struct PreTokenizer {
    std::string_view names;                      // the spellings of tokenizer.ggml.pre, separated by spaces
    std::span<const std::string_view> patterns;  // each cuts the pieces that the one before left; what does not match is a piece too
    bool ignore_merges = false;                  // a word that is itself a token stays whole even if no merges lead to it
    bool add_bos = false;                        // what holds when the file has no tokenizer.ggml.add_bos_token
    bool add_eos = false;                        // the same for tokenizer.ggml.add_eos_token
};

std::span<const PreTokenizer> pre_tokenizers();

/// Null when no row has that name.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

}  // namespace atlas
