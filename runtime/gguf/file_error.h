#pragma once
// Errors that name the model file they come from.

#include <filesystem>

#include "runtime/base/error.h"

namespace atlas::gguf {

/// Puts the file's name in front of an error on its way up, unless the error begins with it, as those of the lookups in
/// a File do.
[[nodiscard]] tl::unexpected<Error> fail_in_file(const std::filesystem::path& file, Error error);

/// The same for an error of work with a loaded model, which is often none of its file's: only one that says that the
/// data is damaged gets the name.
[[nodiscard]] tl::unexpected<Error> fail_with_model(const std::filesystem::path& file, Error error);

}  // namespace atlas::gguf
