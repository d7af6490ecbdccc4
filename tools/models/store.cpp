#include "tools/models/store.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/base/edit_distance.h"
#include "runtime/base/in_quotes.h"
#include "tools/models/folder_lock.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNote = "model.json";  // written last: its presence says that the model is complete

// Calls `visit` with every entry of a folder. Fails: io.
Result<void> for_each_entry(const fs::path& folder, const std::function<void(const fs::directory_entry&)>& visit) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    for (const fs::directory_iterator end; !error && entries != end; entries.increment(error)) visit(*entries);
    if (error)
        return fail(ErrorCode::io, "cannot list {}: {}", in_quotes(folder.string(), kMostShownPath), error.message());
    return {};
}

// Bytes of the files in a folder; of those with this extension, if one is given.
uint64_t bytes_in(const fs::path& folder, std::string_view extension) {
    uint64_t bytes = 0;
    // Files that cannot be read count as empty: the sum is only shown.
    (void)for_each_entry(folder, [&](const fs::directory_entry& entry) {
        std::error_code error;
        if (!extension.empty() && entry.path().extension() != extension) return;
        const auto size = entry.is_regular_file(error) ? entry.file_size(error) : 0;
        if (!error) bytes += size;
    });
    return bytes;
}

}  // namespace

std::string stored_name(std::string_view text) {
    std::string name;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || c == '.' || c == '-' || c == '_') {
            name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        } else if (!name.empty() && name.back() != '-') {
            name += '-';
        }
    }
    // No hidden folders, none that mean a parent, and none that commands take for a flag.
    name.erase(0, std::min(name.find_first_not_of(".-"), name.size()));
    return name;
}

std::optional<StoredModel> ModelStore::read_model(const fs::path& folder) const {
    const auto note = read_note(folder / kNote, on_warning_);
    if (!note || note->file.empty()) return std::nullopt;
    return StoredModel{folder.filename().string(), folder, folder / note->file, note->source,
                       bytes_in(folder, ".gguf")};
}

Result<std::vector<StoredModel>> ModelStore::list() const {
    std::vector<StoredModel> models;
    std::error_code error;
    if (!fs::exists(folder_, error)) return models;
    ATLAS_TRY_VOID(for_each_entry(folder_, [&](const fs::directory_entry& entry) {
        if (auto model = read_model(entry.path())) models.push_back(std::move(*model));
    }));
    std::ranges::sort(models, {}, &StoredModel::name);
    return models;
}

Result<StoredModel> ModelStore::find(std::string_view name) const {
    ATLAS_TRY(auto models, list());
    // As it is first: a folder's name may be none that we would give it.
    for (const std::string& wanted : {std::string(name), stored_name(name)}) {
        const auto found = std::ranges::find(models, wanted, &StoredModel::name);
        if (found != models.end()) return std::move(*found);
    }
    const std::string hint = hint_for(name);
    return fail(ErrorCode::not_found, "{} is no stored model; {}", in_quotes(name),
                !hint.empty()    ? hint
                : models.empty() ? "no model is stored yet"
                                 : "'atlas-vk list' shows what is stored");
}

std::string ModelStore::hint_for(std::string_view name) const {
    std::vector<std::string> names;
    const auto models = list();
    if (!models) return "";
    for (const StoredModel& model : *models) names.push_back(model.name);
    std::vector<std::string> near = nearest_names(name, names);
    if (near.empty()) return "";
    for (std::string& each : near) each = printable(each);
    const std::string last = std::move(near.back());
    near.pop_back();
    return fmt::format("did you mean {}{}{}?", fmt::join(near, ", "), near.empty() ? "" : " or ", last);
}

std::optional<StoredModel> ModelStore::find_source(std::string_view source) const {
    auto models = list();
    if (!models) return std::nullopt;
    const auto found = std::ranges::find(*models, source, &StoredModel::source);
    if (found == models->end()) return std::nullopt;
    return std::move(*found);
}

Result<Removal> ModelStore::find_removal(std::string_view name) const {
    Removal removal;
    std::error_code error;
    // A folder that was not made by us may have a name that we would not give.
    const fs::path exact = fs::path(std::string(name)).filename();
    const bool has_exact = exact.string() == name && name != "." && name != ".." && !name.empty() &&
                           fs::exists(fs::symlink_status(folder_ / exact, error));
    removal.folder = folder_ / (has_exact ? exact.string() : stored_name(name));
    const auto kind = fs::symlink_status(removal.folder, error);
    if (removal.folder.filename().empty() || !(fs::is_directory(kind) || fs::is_symlink(kind))) {
        ATLAS_TRY(const auto model, find(name));
        return fail(ErrorCode::not_found, "there is no folder {}", in_quotes(model.folder.string(), kMostShownPath));
    }
    if (fs::is_symlink(kind)) removal.link_to = fs::read_symlink(removal.folder, error);
    removal.model = read_model(removal.folder);
    removal.bytes = removal.link_to ? 0 : bytes_in(removal.folder, "");
    return removal;
}

Result<void> ModelStore::remove(std::string_view name) const {
    ATLAS_TRY(const Removal removal, find_removal(name));
    const std::string shown = in_quotes(removal.folder.string(), kMostShownPath);
    std::error_code error;
    if (removal.link_to) {
        // The target of the link belongs to the user.
        fs::remove(removal.folder, error);
        if (error) return fail(ErrorCode::io, "cannot delete the link {}: {}", shown, error.message());
        return {};
    }
    ATLAS_TRY(const auto lock, FolderLock::try_take(removal.folder));
    if (!lock)
        return fail(ErrorCode::io, "{} is being pulled by another process: stop that first",
                    in_quotes(stored_name(name)));
    // Removes the note first, so that half a deleted model does not count as a model.
    fs::remove(removal.folder / kNote, error);
    fs::remove_all(removal.folder, error);  // removes links in it, not their targets
    if (error) return fail(ErrorCode::io, "cannot delete {}: {}", shown, error.message());
    return {};
}

Result<fs::path> ModelStore::folder_for(std::string_view name) const {
    if (stored_name(name).empty())
        return fail(ErrorCode::invalid_argument, "{} cannot be the name of a model: give one with --name",
                    in_quotes(name));
    return folder_ / stored_name(name);
}

Result<void> ModelStore::finish(std::string_view name, const FolderNote& note) const {
    return write_note(folder_ / stored_name(name) / kNote, note);
}

std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string>& candidates) {
    std::vector<std::pair<size_t, std::string>> rated;
    for (const std::string& candidate : candidates) {
        const bool part = !name.empty() &&
                          (candidate.find(name) != std::string::npos || name.find(candidate) != std::string_view::npos);
        const size_t edits = edit_distance(name, candidate);
        if (part || edits <= std::max<size_t>(2, name.size() / 3)) rated.emplace_back(part ? 0 : edits, candidate);
    }
    std::ranges::sort(rated);
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min<size_t>(rated.size(), 3); ++i) names.push_back(rated[i].second);
    return names;
}

}  // namespace atlas::tools
