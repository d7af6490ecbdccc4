#pragma once
// The table of pre-tokenizers: how a byte-level BPE model cuts text into words before it merges. A fact of each model,
// known by the name in `tokenizer.ggml.pre`.

#include <span>
#include <string_view>

#include "runtime/text/normalize.h"

namespace atlas {

/// One step of cutting. It applies to each piece that the step before left, as if that were the whole text.
struct SplitPattern {
    enum Cut {
        around,             // before and after each match: matches and what is between them become pieces
        thousands,          // inside a match, before every third character counted from its end: 1|234|567
        thousands_and_end,  // the same and after the match: 1|234|567|
    };
    constexpr SplitPattern(const char* text, Cut where = around) : expression(text), cut(where) {}

    std::string_view expression;
    Cut cut;
};

struct PreTokenizer {
    std::string_view names;  // the spellings of tokenizer.ggml.pre, separated by spaces
    std::span<const SplitPattern> patterns;
    Normalization normalization = Normalization::none;  // of the text before it is cut, special tokens left out
    bool ignore_merges = false;  // a word that is itself a token stays whole even if no merges lead to it
    bool add_bos = false;        // what holds when the file has no tokenizer.ggml.add_bos_token
    bool add_eos = false;        // the same for tokenizer.ggml.add_eos_token
};

std::span<const PreTokenizer> pre_tokenizers();

/// Null when no row has that name.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

}  // namespace atlas
