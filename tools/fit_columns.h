#pragma once
// Help texts and reports on a terminal: broken between words, not in the middle of one.

#include <string>
#include <string_view>

namespace atlas::tools {

/// `text` with its longer lines broken at spaces. The rest is indented to the line's second column
/// ("  -q,--quiet   Print ..."), or to its beginning if it has none. Examples of commands are not broken, so that they
/// can be copied. A Markdown table that is too wide becomes two lines or more for each row: "q4_k" and "GB/s 12, share
/// 40 %".
std::string fit_columns(std::string_view text, size_t columns);

/// Fitted to the width of the terminal on stderr; unchanged if stderr is no terminal.
std::string fitted_to_stderr(std::string_view text);

/// Columns of the terminal on stdout; 0: stdout is no terminal.
size_t output_columns();

/// Prints to stdout, fitted to its terminal; unchanged if it is none.
void print_fitted(std::string_view text);

}  // namespace atlas::tools
