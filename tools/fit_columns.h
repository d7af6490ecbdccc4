#pragma once
// Help texts and reports on a terminal: broken between words, not in the middle of one.

#include <string>
#include <string_view>

namespace atlas::tools {

/// `text` with its longer lines broken at spaces. What goes on stands under the line's second column, where it has one ("  -q,--quiet   Print ..."),
/// else under its beginning. Examples of commands are left whole, so that they can be copied.
std::string fit_columns(std::string_view text, size_t columns);

/// As wide as the terminal on stderr, unchanged where it is none.
std::string fitted_to_stderr(std::string_view text);

/// Columns of the terminal on stdout; 0: it is none.
size_t output_columns();

/// Prints to stdout: as wide as its terminal, unchanged where it is none.
void print_fitted(std::string_view text);

}  // namespace atlas::tools
