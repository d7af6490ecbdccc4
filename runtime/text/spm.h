#pragma once
// SentencePiece's BPE (tokenizer.ggml.model = "llama"): merges driven by the scores of the tokens they make, bytes as
// the last resort. Source: Kudo and Richardson 2018.

#include "runtime/text/vocabulary.h"

namespace atlas {

class Tokenizer;

/// Fails: corrupt (no scores, scores that are not numbers).
Result<std::shared_ptr<const Tokenizer>> make_spm_tokenizer(Vocabulary vocabulary);

}  // namespace atlas
