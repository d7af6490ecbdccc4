#pragma once
// SentencePiece's BPE (tokenizer.ggml.model = "llama"): merges driven by the scores of the tokens they make, bytes as
// the last resort. Source: Kudo and Richardson 2018.

#include "runtime/text/vocabulary.h"

namespace atlas {

class Tokenizer;

/// The byte that a token of TokenKind::byte stands for: "<0x0A>".
std::optional<unsigned> byte_of_spelling(std::string_view spelling);

/// Fails: corrupt (no scores, scores that are not numbers).
Result<std::shared_ptr<const Tokenizer>> make_spm_tokenizer(Vocabulary vocabulary);

}  // namespace atlas
