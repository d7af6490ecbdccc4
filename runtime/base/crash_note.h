#pragma once
// A note on the disk of what a process is about to do, so that the next process finds it if this one crashes or hangs.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/os.h"

namespace atlas {

/// Beside `path`, named ".<name>.<8 digits>.doing"; several processes may each leave some. Removed when it is
/// destroyed.
class CrashNote {
  public:
    /// The text (at most 4,000 bytes) is on the disk when this returns: it outlives a machine that stops. Fails:
    /// not_found (no such folder), io.
    static Result<CrashNote> leave(const std::filesystem::path& path, std::string_view text);
    CrashNote(CrashNote&& other) noexcept;
    CrashNote& operator=(CrashNote&&) = delete;
    ~CrashNote();

  private:
    CrashNote(std::filesystem::path file, os::FileHandle handle);
    std::filesystem::path file_;
    os::FileHandle handle_;
    int place_ = -1;  // among those that a signal takes back
};

/// Takes back the notes of this process, as their destructors would, except those that are older: what takes so
/// long may hang. For a handler of signals by which the user ends the process. Async-signal-safe.
inline constexpr int kMostSecondsOfNotesTakenBack = 20;
void take_back_crash_notes() noexcept;

/// The texts of notes beside `path` whose processes ended without removing them. Each is returned once: the notes are
/// then removed.
std::vector<std::string> take_crash_notes(const std::filesystem::path& path);

}  // namespace atlas
