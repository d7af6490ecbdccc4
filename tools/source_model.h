#pragma once
// A model file that is written again in another form.

#include "runtime/gguf/reader.h"

namespace atlas::tools {

/// Refuses what loading would refuse for the same keys and tensors, so that no broken file is made of a broken one.
/// What this version cannot run but another program may is accepted: see why_it_cannot_run. Fails: corrupt, ...; the
/// error names the file.
Result<void> check_source(const gguf::File& file);

/// Why this version cannot run the model; empty if it can.
std::string why_it_cannot_run(const gguf::File& file);

}  // namespace atlas::tools
