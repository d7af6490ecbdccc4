#pragma once
// What the parser knows of a command's options, for man pages and shell completion, so that it is written only once.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace atlas::tools {

struct OptionFacts {
    std::vector<std::string> names;    // "-m", "--model"; empty for a positional one
    std::string positional;            // "prompt"; empty for one that has names only
    std::string description;           // of one paragraph
    std::string value;                 // "TEXT", "{auto,none,k}"; empty: takes none
    std::string standard;              // the default as text, or empty
    std::vector<std::string> choices;  // all values that are allowed, or empty where others are
    bool takes_value = false;
    bool takes_many = false;
    bool is_required = false;
    bool takes_model = false;  // a stored model's name, or a file
};

/// The options of a command that its help shows, in its order.
std::vector<OptionFacts> options_of(const CLI::App& command);

/// The commands that the help shows, in its order.
std::vector<const CLI::App*> commands_of(const CLI::App& app);

}  // namespace atlas::tools
