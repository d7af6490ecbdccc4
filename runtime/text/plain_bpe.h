#pragma once
// BPE over the characters of the text, with marks for spaces (tokenizer.ggml.model = "gemma4").

#include "runtime/text/vocabulary.h"

namespace atlas {

class Tokenizer;

/// Fails: not_found (no merges), corrupt (none can apply).
Result<std::shared_ptr<const Tokenizer>> make_plain_bpe_tokenizer(Vocabulary vocabulary);

}  // namespace atlas
