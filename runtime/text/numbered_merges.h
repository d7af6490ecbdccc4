#pragma once
// The merges of a vocabulary as numbers of its tokens.

#include "runtime/text/merge_table.h"
#include "runtime/text/vocabulary.h"

namespace atlas {

/// Leaves out what cannot apply, as pruned vocabularies have it, and notes it. Fails: corrupt (none can apply).
Result<MergeTable> number_merges(Vocabulary& vocabulary);

}  // namespace atlas
