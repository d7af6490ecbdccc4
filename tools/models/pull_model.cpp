#include "tools/models/pull_model.h"

#include <algorithm>

#include "runtime/base/in_quotes.h"
#include "runtime/base/os.h"
#include "runtime/gguf/reader.h"
#include "tools/models/pull_folder.h"
#include "tools/models/unpack.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUnpacked = ".unpacked";

// Removes what an interrupted call left, because unpacking appends.
Result<void> remove_unpacked(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::path> left;
    fs::directory_iterator entries(folder, error);
    for (const fs::directory_iterator end; !error && entries != end; entries.increment(error))
        if (entries->path().extension() == kUnpacked) left.push_back(entries->path());
    for (const fs::path& path : left)
        if (!error) fs::remove(path, error);
    if (error) return fail(ErrorCode::io, "cannot clear {}: {}", in_quotes(folder.string(), 400), error.message());
    return {};
}

// Takes the archives apart, in order, and gives the results their names.
Result<std::vector<fs::path>> unpack_all(const std::vector<fs::path>& archives, const fs::path& folder) {
    ATLAS_TRY_VOID(remove_unpacked(folder));
    std::vector<fs::path> unpacked;
    for (const fs::path& archive : archives) {
        ATLAS_TRY(const auto written, unpack_models(archive, folder));
        for (const fs::path& path : written)
            if (std::ranges::find(unpacked, path) == unpacked.end()) unpacked.push_back(path);
    }
    std::vector<fs::path> models;
    for (const fs::path& path : unpacked) {
        fs::path final_path = path;
        final_path.replace_extension();
        ATLAS_TRY_VOID(os::replace_file(path, final_path));
        models.push_back(final_path);
    }
    return models;
}

Result<void> fetch(PullFolder& folder, const RemoteFile& file, const DownloadOptions& options,
                   const std::function<void()>& on_start) {
    ATLAS_TRY(const bool is_there, folder.holds(file.file_name, file.sha256, options));
    if (is_there) return {};
    if (on_start) on_start();
    ATLAS_TRY(const auto sha256,
              download(folder.lock(), {file.url, file.file_name, file.sha256, file.bytes, file.headers}, options));
    return folder.note_complete(file.file_name, sha256);
}

}  // namespace

Result<StoredModel> pull_model(const ModelStore& store, const Source& source, const Sites& sites,
                               const DownloadOptions& options, const OnFile& on_file) {
    ATLAS_TRY(auto present, find_stored(store, source));
    if (present) return std::move(*present);
    ATLAS_TRY(const auto files, find_files(source, sites, options));
    ATLAS_TRY(PullFolder folder, PullFolder::enter(store, source, options));
    if (folder.finished()) return *folder.finished();
    std::vector<fs::path> models, archives;
    for (size_t i = 0; i < files.size(); ++i) {
        const RemoteFile& file = files[i];
        (file.is_archive ? archives : models).push_back(folder.path_of(file.file_name));
        const auto on_start = [&] {
            if (on_file) on_file(file.file_name, i + 1, files.size());
        };
        ATLAS_TRY_VOID(fetch(folder, file, options, on_start));
    }
    if (!archives.empty()) {
        ATLAS_TRY(models, unpack_all(archives, folder.lock().folder()));
    }
    std::ranges::sort(models);
    std::error_code ignored;
    if (const auto opened = gguf::File::open(models.front()); !opened) {
        // A file whose hash the server promised is kept: fetching it again would give the same bytes, and another build
        // may read it.
        if (!std::ranges::all_of(files, [](const RemoteFile& file) { return file.sha256.has_value(); })) {
            for (const fs::path& path : models) fs::remove(path, ignored);
            for (const fs::path& path : archives) fs::remove(path, ignored);
        }
        return fail_in(printable(source.text, 200), opened.error());
    }
    auto model = folder.finish(models.front().filename().string());
    if (model)
        for (const fs::path& archive : archives) fs::remove(archive, ignored);
    return model;
}

}  // namespace atlas::tools
