#include "tools/models/pull_folder.h"

#include "runtime/base/in_quotes.h"
#include "tools/models/file_hash.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kClaim = "pull.json";

}  // namespace

Result<std::optional<StoredModel>> find_stored(const ModelStore& store, const Source& source) {
    const auto found = [](StoredModel model) {
        model.was_there = true;
        return std::optional(std::move(model));
    };
    if (auto present = store.find(source.name)) {
        if (present->source == source.text) return found(std::move(*present));
        return fail(ErrorCode::invalid_argument,
                    "{} is stored already, from {}; delete it first (atlas-vk rm {}) or give another --name",
                    in_quotes(source.name), in_quotes(present->source, 200), source.name);
    }
    auto of_source = source.is_name_given ? std::nullopt : store.find_source(source.text);
    return of_source ? found(std::move(*of_source)) : std::nullopt;
}

Result<PullFolder> PullFolder::enter(const ModelStore& store, const Source& source, const DownloadOptions& options) {
    ATLAS_TRY(const auto path, store.folder_for(source.name));
    const auto on_wait = [&] {
        if (options.on_note)
            options.on_note(fmt::format("another process is pulling {}; waiting for it", in_quotes(source.name)));
    };
    ATLAS_TRY(auto lock, FolderLock::take(path, on_wait, options.stop));
    PullFolder folder(store, source.name, std::move(lock));
    ATLAS_TRY(folder.finished_, find_stored(store, source));
    if (folder.finished_) return folder;
    if (auto claim = read_note(path / kClaim, store.on_warning())) {
        if (claim->source != source.text) {
            return fail(ErrorCode::invalid_argument,
                        "{} holds an unfinished pull of {}: finish that first, delete it (atlas-vk rm --yes {}) or "
                        "give another --name",
                        in_quotes(source.name), in_quotes(claim->source, 200), source.name);
        }
        folder.claim_ = std::move(*claim);
        folder.is_claimed_ = true;
    } else {
        folder.is_claimed_ = true;
        folder.claim_.source = source.text;
        ATLAS_TRY_VOID(write_note(path / kClaim, folder.claim_));
    }
    return folder;
}

PullFolder::~PullFolder() {
    if (!lock_.is_held() || !is_claimed_) return;
    std::error_code ignored;
    size_t n_others = 0;
    fs::directory_iterator entries(lock_.folder(), ignored);
    for (const fs::directory_iterator end; !ignored && entries != end; entries.increment(ignored)) {
        const fs::path name = entries->path().filename();
        n_others += name != ".lock" && name != kClaim ? 1 : 0;
    }
    if (ignored || n_others > 0) return;
    fs::remove(path_of(kClaim), ignored);
    lock_.remove_empty_folder();
}

Result<bool> PullFolder::holds(const std::string& file_name, const std::optional<std::string>& sha256,
                               const DownloadOptions& options) const {
    const fs::path path = path_of(file_name);
    std::error_code error;
    if (!fs::exists(fs::symlink_status(path, error))) return false;
    const auto noted = claim_.sha256.find(file_name);
    const std::string expected = sha256 ? *sha256 : noted == claim_.sha256.end() ? "" : noted->second;
    const std::string shown = printable(file_name);
    if (!expected.empty() && fs::is_regular_file(path, error)) {
        if (options.on_note) options.on_note(fmt::format("{} is there already; checking it", shown));
        ATLAS_TRY(const FileHash found, hash_file(path, options.stop, options.on_check));
        if (found.sha256 == expected) return true;
        if (options.on_note) options.on_note(fmt::format("{} is damaged or another file; fetching it again", shown));
    } else if (options.on_note) {
        options.on_note(fmt::format("{} is there already, but its hash is not known; fetching it again", shown));
    }
    fs::remove(path, error);
    if (error) return fail(ErrorCode::io, "cannot delete {}: {}", in_quotes(path.string(), 400), error.message());
    return false;
}

Result<void> PullFolder::note_complete(const std::string& file_name, const std::string& sha256) {
    claim_.sha256[file_name] = sha256;
    return write_note(path_of(kClaim), claim_);
}

Result<StoredModel> PullFolder::finish(const std::string& file_name) {
    FolderNote note = claim_;
    note.file = file_name;
    ATLAS_TRY_VOID(store_->finish(name_, note));
    std::error_code ignored;  // from now on it is not read any more
    fs::remove(path_of(kClaim), ignored);
    return store_->find(name_);
}

}  // namespace atlas::tools
