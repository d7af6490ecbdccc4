#pragma once
// Errors of the command line in our words, because the parser's own texts have many shapes.

#include <CLI/CLI.hpp>
#include <string>

namespace atlas::tools {

/// `command`: the subcommand that was called; null: none.
std::string usage_text(const CLI::ParseError& error, const CLI::App* command);

}  // namespace atlas::tools
