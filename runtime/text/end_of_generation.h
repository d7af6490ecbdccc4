#pragma once
// Which tokens end an answer. Files name one or two; families have more, known by their spelling.

#include <vector>

#include "runtime/text/vocabulary.h"

namespace atlas {

/// Ascending ids. Also turns tokens whose spelling is a control token's in every known family into control tokens, as many
/// converters store them as normal or user-defined ones.
std::vector<TokenId> find_end_of_generation(Vocabulary& vocabulary, const std::vector<TokenId>& declared);

}  // namespace atlas
