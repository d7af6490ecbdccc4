#pragma once
// Between UTF-8 and the wide characters of the line editor, and to a terminal.

#include <cstdio>
#include <string>
#include <string_view>

namespace atlas::tools {

/// Bytes that are no UTF-8 become U+FFFD, one each; zero bytes go.
std::wstring to_wide(std::string_view text);
std::string to_utf8(std::wstring_view text);
/// Whether `bytes` is the beginning of one character and no more.
bool is_unfinished_utf8(std::string_view bytes);
/// Terminals send pasted newlines as returns, most of them: each return, newline, or return and newline becomes one newline.
std::string with_plain_newlines(std::string_view text);

/// `text` without what a terminal would obey: control characters but newlines and tabs become pictures of themselves.
std::string for_terminal(std::string_view text);
/// Lines that each end with a newline, with `prompt` before each; the middle of many is left out, and said to be.
void show_lines(std::FILE* output, std::string_view lines, std::string_view prompt);

}  // namespace atlas::tools
