#pragma once
// What is wrong with a command line, in our words: the parser's own texts have many shapes.

#include <CLI/CLI.hpp>
#include <string>

namespace atlas::tools {

/// `command`: the one that was meant; null: none.
std::string usage_text(const CLI::ParseError& error, const CLI::App* command);

}  // namespace atlas::tools
