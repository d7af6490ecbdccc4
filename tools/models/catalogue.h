#pragma once
// The catalogue as this user has it: the built-in one and the entries of catalogue.json in the configuration folder.

#include <string>

#include "runtime/planner/catalogue.h"

namespace atlas::tools {

/// A damaged file of the user is renamed with a warning on stderr, see load_catalogue.
Result<Catalogue> user_catalogue();

/// Where `pull` finds the model: its own source, or its repository in this quantization ("Q4_K_M"). Empty if no files
/// of it are known.
std::string source_of(const CatalogueModel& model, std::string_view quant);

}  // namespace atlas::tools
