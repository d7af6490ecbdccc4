#include "tools/models/note.h"

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/small_file.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNoteBytes = size_t{1} << 20;

// A file of the folder itself: no path, and none of the names that mean a folder.
bool is_plain_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
           name.find('\0') == std::string::npos;
}

std::optional<FolderNote> parse_note(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    const auto text_of = [&](const char* key) {
        return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
    };
    FolderNote note{text_of("source"), text_of("file"), {}};
    if (!is_plain_name(note.file) && !note.file.empty()) return std::nullopt;
    if (note.file.empty() && note.source.empty()) return std::nullopt;
    if (json.contains("sha256") && json["sha256"].is_object()) {
        for (const auto& [name, hash] : json["sha256"].items())
            if (hash.is_string()) note.sha256[name] = hash.get<std::string>();
    }
    return note;
}

}  // namespace

std::optional<FolderNote> read_note(const fs::path& path, const OnWarning& on_warning) {
    const auto warn = [&](const std::string& what) {
        if (on_warning) on_warning(what);
    };
    const std::string shown = in_quotes(path.string(), 400);
    const auto text = read_small_file(path, kMostNoteBytes);
    if (!text && text.error().code == ErrorCode::not_found) return std::nullopt;
    if (!text && only_unreadable(path, text.error())) {
        warn(text.error().message);
        return std::nullopt;
    }
    auto note = text ? parse_note(*text) : std::nullopt;
    if (note) return note;
    const auto moved = set_aside(path);
    const std::string name = printable(path.parent_path().filename().string());
    warn(fmt::format(
        "{} is damaged{}. 'atlas-vk pull' of the model's source writes it anew and keeps the files that are right; "
        "'atlas-vk rm --yes {}' deletes them",
        shown, moved ? " and now called " + in_quotes(moved->filename().string()) : ": " + moved.error().message,
        name));
    return std::nullopt;
}

Result<void> write_note(const fs::path& path, const FolderNote& note) {
    nlohmann::ordered_json json = {{"source", note.source}};
    if (!note.file.empty()) json["file"] = note.file;
    if (!note.sha256.empty()) json["sha256"] = note.sha256;
    ATLAS_TRY(auto file, AtomicFile::create(path));
    ATLAS_TRY_VOID(file.write(json_text(json, 2) + "\n"));
    return file.commit();
}

}  // namespace atlas::tools
