#include "runtime/base/atomic_file.h"

#include <random>
#include <string_view>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/handler_paths.h"
#include "runtime/base/in_quotes.h"

namespace atlas {
namespace {

constexpr std::string_view kSuffix = ".tmp";
constexpr size_t kTagDigits = 8;

std::string beginning_of(const std::filesystem::path& path) { return "." + path.filename().string() + "."; }

// What killed processes left beside `path`: files of the names that create() makes, which no process writes any longer.
void sweep_leftovers(const std::filesystem::path& path) {
    const std::string beginning = beginning_of(path);
    const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    std::error_code ignored;  // what cannot be listed or removed stays; writing continues
    std::filesystem::directory_iterator entries(folder, ignored);
    for (const std::filesystem::directory_iterator end; !ignored && entries != end; entries.increment(ignored)) {
        const std::string name = entries->path().filename().string();
        if (name.size() != beginning.size() + kTagDigits + kSuffix.size() || !name.starts_with(beginning) ||
            !name.ends_with(kSuffix))
            continue;
        const auto tag = std::string_view(name).substr(beginning.size(), kTagDigits);
        if (tag.find_first_not_of("0123456789abcdef") == std::string_view::npos) os::remove_abandoned(entries->path());
    }
}

// What a signal handler unlinks. A process writes few files at a time; more than fit are left to the next sweep.
struct Nothing {};
HandlerPaths<Nothing, 16> g_unfinished;

// Why nothing can be created beside `path`, without the name that only we know.
std::string explain(const std::filesystem::path& path, const Error& error) {
    const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    const std::string shown = in_quotes(folder.string(), 400);
    std::error_code ignored;
    const auto status = std::filesystem::status(folder, ignored);
    if (status.type() == std::filesystem::file_type::not_found)
        return fmt::format("the folder {} does not exist", shown);
    if (std::filesystem::exists(status) && !std::filesystem::is_directory(status))
        return fmt::format("{} is a file, not a folder", shown);
    return error.message;
}

}  // namespace

void remove_unfinished_files() noexcept {
    g_unfinished.each([](const char* path, Nothing) { os::take_back_file(os::kNoFile, "", path); });
}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path, bool owner_only) {
    if (!path.has_filename())
        return fail(ErrorCode::invalid_argument, "cannot write {}: it names no file", in_quotes(path.string(), 400));
    sweep_leftovers(path);
    // Another process may write the same name at the same time: the last rename wins, and both files stay whole.
    std::random_device random;
    for (int attempt = 0;; ++attempt) {
        auto beside = path;
        beside.replace_filename(fmt::format("{}{:08x}{}", beginning_of(path), random(), kSuffix));
        auto handle = os::create_file(beside, owner_only);
        if (handle) return AtomicFile(path, std::move(beside), *handle);
        std::error_code ignored;
        if (attempt >= 3 || !std::filesystem::exists(beside, ignored)) {
            return fail(handle.error().code, "cannot write {}: {}", in_quotes(path.string(), 400),
                        explain(path, handle.error()));
        }
    }
}

AtomicFile::AtomicFile(std::filesystem::path path, std::filesystem::path beside, os::FileHandle handle)
    : path_(std::move(path)),
      beside_(std::move(beside)),
      handle_(handle),
      place_(g_unfinished.take(beside_.string(), {})) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      beside_(std::move(other.beside_)),
      handle_(std::exchange(other.handle_, os::kNoFile)),
      place_(std::exchange(other.place_, g_unfinished.kNone)) {}

void AtomicFile::forget() { g_unfinished.free(std::exchange(place_, g_unfinished.kNone)); }

AtomicFile::~AtomicFile() {
    if (handle_ == os::kNoFile) return;
    (void)os::close_file(handle_, beside_);
    std::error_code ignored;  // nothing more can be done here, and the name says that it is a leftover
    std::filesystem::remove(beside_, ignored);
    forget();
}

Result<void> AtomicFile::write(std::span<const std::byte> bytes) {
    ATLAS_CHECK(handle_ != os::kNoFile, "{} is already complete", path_.string());
    return os::write_file(handle_, bytes, path_);
}

Result<void> AtomicFile::write(std::string_view text) { return write(std::as_bytes(std::span(text))); }

Result<void> AtomicFile::commit() {
    ATLAS_CHECK(handle_ != os::kNoFile, "{} is already complete", path_.string());
    ATLAS_TRY_VOID(os::sync_file(handle_, path_));
    auto done = os::close_file(std::exchange(handle_, os::kNoFile), path_);
    if (done) done = os::replace_file(beside_, path_);
    if (!done) {
        std::error_code ignored;
        std::filesystem::remove(beside_, ignored);
    }
    forget();
    return done;
}

}  // namespace atlas
