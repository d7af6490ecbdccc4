#pragma once
// Asks the user whether to pull a model that is named but not stored.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "runtime/base/error.h"

namespace atlas::tools {

/// The options -y and --pull.
void add_pull_flag(CLI::App& command, bool& pull);

/// As find_model; where the name is that of a source (the catalogue, hf:owner/repo:quant, owner/repo, https://...),
/// pulls it if `pull` is set or the user says yes on a terminal. Without a terminal and without `pull`, nothing is
/// pulled. Nothing is sent anywhere before. Fails: as find_model (not_found also where the user says no) and
/// shown_pull.
Result<std::filesystem::path> find_or_pull(const std::string& name, bool pull);

}  // namespace atlas::tools
