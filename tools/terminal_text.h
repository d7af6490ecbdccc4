#pragma once
// Text of several lines that may come from outside, made safe for a terminal.

#include <string>
#include <string_view>

namespace atlas::tools {

/// printable() of every line, in full: newlines stay, everything else that a terminal could obey becomes an escape.
std::string printable_lines(std::string_view text);

}  // namespace atlas::tools
