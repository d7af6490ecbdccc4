#pragma once
// Byte-level byte-pair encoding (tokenizer.ggml.model = "gpt2"). Source: Sennrich et al. 2016; Radford et al. 2019 for
// bytes.

#include "runtime/text/vocabulary.h"

namespace atlas {

class Tokenizer;

/// Bytes that have no token in the vocabulary are left out when encoding. Bytes that are not UTF-8 keep their value, so
/// that a vocabulary with all 256 decodes to exactly the encoded bytes.
/// If the file names no pre-tokenizer, one is inferred; merges that cannot apply are left out. The tokenizer's notes
/// report both.
/// Fails: unsupported (a pre-tokenizer that is named and not known), corrupt (no merge can apply), not_found (no
/// merges).
Result<std::shared_ptr<const Tokenizer>> make_bpe_tokenizer(Vocabulary vocabulary);

}  // namespace atlas
