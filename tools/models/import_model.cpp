#include "tools/models/import_model.h"

#include <fstream>
#include <utility>

#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/os.h"
#include "runtime/gguf/reader.h"
#include "runtime/gguf/split.h"
#include "tools/models/pull_folder.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

std::string shown(const fs::path& path) { return in_quotes(path.string(), 400); }

std::vector<fs::path> parts_of(const fs::path& path) {
    const auto split = gguf::split_name(path);
    if (!split) return {path};
    std::vector<fs::path> parts;
    for (uint32_t i = 0; i < split->count; ++i) parts.push_back(gguf::split_path(*split, i));
    return parts;
}

/// Copies beside and renames. `done` counts the bytes of all files so far.
Result<void> copy(const fs::path& from, const fs::path& to, uint64_t& done, uint64_t total,
                  const DownloadOptions& options) {
    std::ifstream in(from, std::ios::binary);
    if (!in) return fail(ErrorCode::io, "cannot read {}", shown(from));
    ATLAS_TRY(auto out, AtomicFile::create(to));
    std::vector<char> buffer(size_t{4} << 20);
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
        if (options.stop.stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying {}", shown(from));
        const auto bytes = static_cast<size_t>(in.gcount());
        ATLAS_TRY_VOID(out.write(std::string_view(buffer.data(), bytes)));
        done += bytes;
        if (options.on_progress) options.on_progress(done, total);
    }
    if (in.bad()) return fail(ErrorCode::io, "cannot read {} to its end", shown(from));
    return out.commit();
}

Result<void> bring(const std::vector<fs::path>& files, const fs::path& folder, ImportBy by, uint64_t total,
                   const DownloadOptions& options) {
    uint64_t done = 0;
    bool is_told = false;
    for (const fs::path& file : files) {
        const fs::path target = folder / file.filename();
        std::error_code error;
        if (os::same_file(file, target) && by != ImportBy::copy) continue;
        fs::remove(target, error);  // of an import that was interrupted
        if (by != ImportBy::copy) {
            // Links the file itself if the name is a symbolic link.
            fs::create_hard_link(fs::canonical(file, error), target, error);
            if (!error) continue;
            if (by == ImportBy::link)
                return fail(ErrorCode::invalid_argument, "cannot link {} into the store: {}; --copy copies it",
                            shown(file), error.message());
            if (!std::exchange(is_told, true) && options.on_note)
                options.on_note(
                    fmt::format("a link to {} is not possible ({}): copying", shown(file), error.message()));
        }
        ATLAS_TRY_VOID(copy(file, target, done, total, options));
    }
    return {};
}

}  // namespace

std::string name_of_file(const fs::path& path) {
    const auto split = gguf::split_name(path);
    return stored_name(split ? fs::path(split->stem).filename().string() : path.stem().string());
}

Result<StoredModel> import_model(const ModelStore& store, const fs::path& path, const std::string& name, ImportBy by,
                                 const DownloadOptions& options) {
    ATLAS_TRY(const gguf::File file, gguf::File::open(path));
    std::error_code error;
    const fs::path absolute = fs::absolute(path, error).lexically_normal();
    if (error) return fail(ErrorCode::io, "{}: {}", shown(path), error.message());
    const auto files = parts_of(absolute);
    for (const fs::path& part : files)
        if (!is_safe_file_name(part.filename().string()))
            return fail(ErrorCode::invalid_argument, "{}: give the file a name without control characters first",
                        shown(part));
    const Source source{"file:" + files.front().string(), name, true};
    ATLAS_TRY(PullFolder folder, PullFolder::enter(store, source, options));
    if (folder.finished()) {
        if (folder.finished()->bytes == file.file_bytes()) return *folder.finished();
        return fail(ErrorCode::invalid_argument,
                    "{} is stored already, from an earlier state of {}; delete it first (atlas-vk rm {}) or give "
                    "another --name",
                    in_quotes(name), shown(files.front()), name);
    }
    ATLAS_TRY_VOID(bring(files, folder.lock().folder(), by, file.file_bytes(), options));
    ATLAS_TRY(const gguf::File stored, gguf::File::open(folder.path_of(files.front().filename().string())));
    return folder.finish(stored.path().filename().string());
}

}  // namespace atlas::tools
