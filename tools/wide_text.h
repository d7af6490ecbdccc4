#pragma once
// Conversion between UTF-8 and the wide characters of the line editor, and text made safe for a terminal.

#include <cstdio>
#include <string>
#include <string_view>

namespace atlas::tools {

/// Bytes that are not UTF-8 become one U+FFFD each; zero bytes are dropped.
std::wstring to_wide(std::string_view text);
std::string to_utf8(std::wstring_view text);
/// Whether `bytes` is the beginning of one character and no more.
bool is_unfinished_utf8(std::string_view bytes);
/// Most terminals send pasted newlines as returns, so each return, newline, or return and newline becomes one newline.
std::string with_plain_newlines(std::string_view text);

/// `text` made safe for a terminal: control characters other than newlines and tabs become their pictures (U+2400 and
/// on).
std::string for_terminal(std::string_view text);
/// Prints lines that each end with a newline, with `prompt` before each; of many, the middle is replaced by a line that
/// says so.
void show_lines(std::FILE* output, std::string_view lines, std::string_view prompt);

}  // namespace atlas::tools
