#pragma once
// Finding text in text within a budget: the worst case of a plain search is the product of both lengths.

#include <string_view>

#include "runtime/text/jinja/budget.h"

namespace atlas::jinja {

/// Byte offset of the first match at or after `from`, or npos. An empty needle is found at `from`.
size_t find_text(Budget& budget, std::string_view text, std::string_view needle, size_t from = 0);
/// Byte offset of the last match that begins at or before `from`, or npos.
size_t find_last_text(Budget& budget, std::string_view text, std::string_view needle,
                      size_t from = std::string_view::npos);

}  // namespace atlas::jinja
