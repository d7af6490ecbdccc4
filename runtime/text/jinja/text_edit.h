#pragma once
// Cutting, replacing and padding text, with Python's rules for edge cases.

#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/budget.h"

namespace atlas::jinja {

/// Cut at runs of white space, none at the ends; `most` cuts at most (negative: no bound).
std::vector<std::string_view> split_space(Budget& budget, std::string_view text, int64_t most);
std::vector<std::string_view> split_space_right(Budget& budget, std::string_view text, int64_t most);
/// Cut at every `separator` (not empty).
std::vector<std::string_view> split_text(Budget& budget, std::string_view text, std::string_view separator,
                                         int64_t most);
std::vector<std::string_view> split_text_right(Budget& budget, std::string_view text, std::string_view separator,
                                               int64_t most);
/// Cut at every kind of line end that Python knows.
std::vector<std::string_view> split_lines(Budget& budget, std::string_view text, bool keep_ends);
/// Every `from` becomes `to`, `most` times at most (negative: no bound). An empty `from` is found between all
/// characters.
std::string replaced(Budget& budget, std::string_view text, std::string_view from, std::string_view to, int64_t most);
/// Drops characters that are in `set` from the ends.
std::string_view strip_characters(Budget& budget, std::string_view text, std::string_view set, bool left, bool right);
/// Fills up to `width` code points; side '<' puts the text left, '>' right, '^' in the middle.
std::string padded(Budget& budget, std::string_view text, int64_t width, char side, std::string_view fill);

}  // namespace atlas::jinja
