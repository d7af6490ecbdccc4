#pragma once
// Which tokens end an answer. Files name one or two; families have more, known by their spelling.

#include <vector>

#include "runtime/text/vocabulary.h"

namespace atlas {

/// Ascending ids. A spelling counts only where the token's kind agrees: control or user-defined. A normal token is
/// text, whatever its spelling ("</s>" in Qwen2's vocabulary), unless no text encodes to it: then its kind is a mistake
/// of the converter, which is corrected and noted.
std::vector<TokenId> find_end_of_generation(Vocabulary& vocabulary, const std::vector<TokenId>& declared);

}  // namespace atlas
