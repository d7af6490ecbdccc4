#include "tools/models/pull_model.h"

#include <algorithm>

#include "runtime/gguf/reader.h"
#include "tools/models/unpack.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

// Takes the archives apart, in order, and gives the results their names.
Result<std::vector<fs::path>> unpack_all(const std::vector<fs::path>& archives, const fs::path& folder) {
    std::error_code error;
    // What an interrupted call left would be appended to.
    for (const auto& entry : fs::directory_iterator(folder, error))
        if (entry.path().extension() == ".unpacked") fs::remove(entry.path(), error);
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
        fs::rename(path, final_path, error);
        if (error) return fail(ErrorCode::io, "{}: cannot be renamed: {}", path.string(), error.message());
        models.push_back(final_path);
    }
    for (const fs::path& archive : archives) fs::remove(archive, error);
    return models;
}

}  // namespace

Result<StoredModel> pull_model(const ModelStore& store, const Source& source, const Sites& sites, const DownloadOptions& options,
                               const std::function<void(const RemoteFile& file, size_t number, size_t count)>& on_file) {
    if (auto present = store.find(source.name)) {
        if (present->source == source.text) return present;
        return fail(ErrorCode::invalid_argument, "'{}' is stored already, from {}; delete it first (atlas-vk rm {}) or give another --name", source.name, present->source,
                    source.name);
    }
    ATLAS_TRY(const auto files, find_files(source, sites, options));
    ATLAS_TRY(const auto folder, store.folder_for(source.name));
    std::vector<fs::path> models, archives;
    for (size_t i = 0; i < files.size(); ++i) {
        const RemoteFile& file = files[i];
        const fs::path target = folder / fs::path(file.file_name).filename();
        (file.is_archive ? archives : models).push_back(target);
        // Complete files of an interrupted call: only ever renamed to this name when right.
        std::error_code error;
        if (fs::exists(target, error)) continue;
        if (on_file) on_file(file, i + 1, files.size());
        ATLAS_TRY_VOID(download({file.url, target, file.sha256, file.bytes, file.headers}, options));
    }
    if (!archives.empty()) {
        ATLAS_TRY(models, unpack_all(archives, folder));
    }
    std::ranges::sort(models);
    const auto opened = gguf::File::open(models.front());
    if (!opened) {
        std::error_code error;
        for (const fs::path& path : models) fs::remove(path, error);
        return fail_in(source.text, opened.error());
    }
    ATLAS_TRY_VOID(store.finish(source.name, models.front(), source.text));
    return store.find(source.name);
}

}  // namespace atlas::tools
