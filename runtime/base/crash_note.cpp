#include "runtime/base/crash_note.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <random>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/handler_paths.h"
#include "runtime/base/in_quotes.h"

namespace atlas {
namespace {

constexpr std::string_view kSuffix = ".doing";
constexpr std::string_view kDone = "\ndone\n";  // the end of a note that is being taken back
constexpr size_t kMostBytes = 4000;

std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}
std::string beginning_of(const std::filesystem::path& path) { return "." + path.filename().string() + "."; }

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

using Clock = std::chrono::steady_clock;  // async-signal-safe: clock_gettime

/// What a signal handler needs of a note.
struct Left {
    os::FileHandle handle = os::kNoFile;
    Clock::time_point since;
};
// Signals belong to the process, and so does this. A process has one note at a time; more than fit are not taken back.
HandlerPaths<Left, 4> g_notes;

}  // namespace

Result<CrashNote> CrashNote::leave(const std::filesystem::path& path, std::string_view text) {
    ATLAS_CHECK(text.size() <= kMostBytes, "a note of {} bytes", text.size());
    std::random_device random;
    const auto file = folder_of(path) / fmt::format("{}{:08x}{}", beginning_of(path), random(), kSuffix);
    const auto created = os::create_file(file);
    if (!created) {
        return fail(created.error().code, "cannot write a note into the folder {}: {}",
                    in_quotes(folder_of(path).string(), 400), created.error().message);
    }
    const os::FileHandle handle = *created;
    CrashNote note(file, handle);
    ATLAS_TRY_VOID(os::write_file(handle, bytes_of(text), file));
    ATLAS_TRY_VOID(os::sync_file(handle, file));
    return note;
}

CrashNote::CrashNote(std::filesystem::path file, os::FileHandle handle)
    : file_(std::move(file)), handle_(handle), place_(g_notes.take(file_.string(), {handle, Clock::now()})) {}

CrashNote::CrashNote(CrashNote&& other) noexcept
    : file_(std::move(other.file_)),
      handle_(std::exchange(other.handle_, os::kNoFile)),
      place_(std::exchange(other.place_, -1)) {}

CrashNote::~CrashNote() {
    if (handle_ == os::kNoFile) return;
    g_notes.free(place_);
    // In this order: a process that has the file open when the name disappears finds this text in it.
    (void)os::write_file(handle_, bytes_of(kDone), file_);
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
    (void)os::close_file(handle_, file_);
}

void take_back_crash_notes() noexcept {
    const auto now = Clock::now();
    g_notes.each([now](const char* path, const Left& note) {
        if (now - note.since > std::chrono::seconds(kMostSecondsOfNotesTakenBack)) return;
        os::take_back_file(note.handle, kDone, path);
    });
}

std::vector<std::string> take_crash_notes(const std::filesystem::path& path) {
    std::vector<std::string> texts;
    const std::string beginning = beginning_of(path);
    std::error_code ignored;  // where nothing can be listed there is nothing to find
    std::filesystem::directory_iterator entries(folder_of(path), ignored);
    for (const std::filesystem::directory_iterator end; !ignored && entries != end; entries.increment(ignored)) {
        const std::string name = entries->path().filename().string();
        if (!name.starts_with(beginning) || !name.ends_with(kSuffix)) continue;
        std::error_code error;
        if (!std::filesystem::is_regular_file(entries->symlink_status(error))) continue;
        std::ifstream file(entries->path(), std::ios::binary);
        os::remove_abandoned(entries->path());
        if (!file || std::filesystem::exists(entries->path(), error)) continue;
        std::array<char, kMostBytes + kDone.size()> bytes{};
        file.read(bytes.data(), std::streamsize(bytes.size()));
        const std::string_view text(bytes.data(), size_t(file.gcount()));
        if (!text.ends_with(kDone)) texts.emplace_back(text);
    }
    return texts;
}

}  // namespace atlas
