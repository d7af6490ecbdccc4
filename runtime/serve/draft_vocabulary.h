#pragma once
// Checks that the token ids of two models mean the same text.

#include "runtime/text/tokenizer.h"

namespace atlas {

/// A draft model proposes token ids, so an id must have the same spelling in both vocabularies. One vocabulary may be
/// longer than the other (padding, added tokens), and of the ids that both have one in a hundred may differ (renamed
/// special tokens): draft tokens with such ids are simply rejected.
/// Fails: unsupported (which token differs first, and how).
Result<void> check_draft_vocabulary(const Tokenizer& target, const Tokenizer& draft);

}  // namespace atlas
