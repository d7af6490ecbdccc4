#pragma once
// Which tokens plain text encodes to, and which are in a vocabulary because they were added by hand. The tables show
// it: tokens of plain text are merged from smaller tokens. This is a second source where a file's token types are
// missing or wrong.

#include <vector>

#include "runtime/text/vocabulary.h"

namespace atlas {

/// For each token: is it a single character or byte, or made by a merge (SPM: of two other tokens)? Requires
/// `vocabulary.ids`.
std::vector<bool> tokens_made_of_text(const Vocabulary& vocabulary);

/// Gives every token a kind where the file has no tokenizer.ggml.token_type, and adds a note to the vocabulary.
/// `declared` are ids that other keys of the file call special. Requires `vocabulary.ids`.
void draft_kinds(Vocabulary& vocabulary, const std::vector<TokenId>& declared);

}  // namespace atlas
