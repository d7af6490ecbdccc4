#pragma once
// Text of several lines that may come from outside, made safe for a terminal.

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace atlas::tools {

/// printable() of every line, in full: newlines stay, everything else that a terminal could obey becomes an escape.
std::string printable_lines(std::string_view text);

/// Prints printable_lines() of the text to stdout: for people.
void print_text(std::string_view text);

template <class... Args>
void print_text(fmt::format_string<Args...> text, Args&&... args) {
    print_text(std::string_view(fmt::format(text, std::forward<Args>(args)...)));
}

/// What `text` is for programs that read stdout: every byte of it; escaped where stdout is a terminal.
std::string for_stdout(std::string_view text);

}  // namespace atlas::tools
