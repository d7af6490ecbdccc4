#pragma once
// Whether one model's tokens mean what another's do.

#include "runtime/text/tokenizer.h"

namespace atlas {

/// A draft model guesses token ids: they must be spelt alike in both vocabularies. One may be longer than the other (padding, added tokens),
/// and of those that both have one in a hundred may differ (renamed special tokens): guesses of those are merely wrong.
/// Fails: unsupported (which token differs first, and how).
Result<void> check_draft_vocabulary(const Tokenizer& target, const Tokenizer& draft);

}  // namespace atlas
