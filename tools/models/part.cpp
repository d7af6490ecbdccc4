#include "tools/models/part.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/os.h"
#include "runtime/base/small_file.h"
#include "runtime/base/units.h"
#include "tools/models/file_hash.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostNoteBytes = size_t{64} << 10;
constexpr size_t kMostVersionBytes = 1024;
// From this size on, checking takes long enough to be reported.
constexpr uint64_t kLargeBytes = uint64_t{256} << 20;

fs::path with_ending(const fs::path& path, const char* ending) {
    fs::path out = path;
    out += ending;
    return out;
}

std::string text_of(const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

bool is_version(std::string_view text) {
    return !text.empty() && text.size() <= kMostVersionBytes &&
           std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
}

Part::Part(const fs::path& target, const DownloadRequest& request, const DownloadOptions& options)
    : request_(request),
      options_(options),
      target_(target),
      path_(with_ending(target, ".part")),
      note_(with_ending(target, ".part.json")) {}

Part::~Part() {
    if (file_ < 0) return;
    ::close(file_);
    if (bytes_ == 0) ::unlink(path_.c_str());
}

void Part::set_aside_with_a_word(const fs::path& path, const std::string& why) const {
    const auto moved = set_aside(path);
    if (!options_.on_note) return;
    options_.on_note(fmt::format(
        "{} {}; {}", in_quotes(path.string(), 400), why,
        moved ? fmt::format("it is now {}, and the download starts over", in_quotes(moved->filename().string()))
              : moved.error().message));
}

// Whether the note says that the part is one of the file that is asked for.
bool Part::is_of_request(const std::string& text) {
    const auto note = nlohmann::json::parse(text, nullptr, false);
    if (!note.is_object()) {
        set_aside_with_a_word(note_, "is damaged");
        return false;
    }
    const std::string version = text_of(note, "version");
    if (text_of(note, "url") != request_.url || !is_version(version)) return false;
    version_ = version;
    return true;
}

Result<void> Part::open_file() {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    const std::string reason = file_ >= 0 ? "no regular file" : std::strerror(errno);
    struct stat status = {};
    if (file_ >= 0 && ::fstat(file_, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1) {
        bytes_ = static_cast<uint64_t>(status.st_size);
        return {};
    }
    if (file_ >= 0) ::close(std::exchange(file_, -1));
    return fail(ErrorCode::io, "cannot write {}: {}", in_quotes(path_.string(), 400), reason);
}

Result<void> Part::open() {
    bool fits = false;
    if (const auto note = read_small_file(note_, kMostNoteBytes)) {
        fits = is_of_request(*note);
    } else if (only_unreadable(note_, note.error())) {
        return tl::unexpected(note.error());  // a download that started over would lose what was received
    } else if (note.error().code != ErrorCode::not_found) {
        set_aside_with_a_word(note_, "cannot be read");
    }
    // A link, a pipe or a folder under this name does not come from a download; with a hard link we would write into
    // another file.
    std::error_code error;
    const auto kind = fs::symlink_status(path_, error);
    if (fs::exists(kind) && (!fs::is_regular_file(kind) || fs::hard_link_count(path_, error) != 1))
        set_aside_with_a_word(path_, "is no part of a download");
    ATLAS_TRY_VOID(open_file());
    if (!fits || (request_.bytes && bytes_ > *request_.bytes)) start_over();
    return {};
}

void Part::start_over() {
    bytes_ = 0;
    version_.clear();
    if (file_ >= 0 && ::ftruncate(file_, 0) != 0) error_ = disk_error(errno);
    std::error_code ignored;  // a note without bytes is of no use and does no harm
    fs::remove(note_, ignored);
}

bool Part::begin(const std::string& version) {
    version_ = version;
    if (version.empty()) return true;
    const auto written = [&]() -> Result<void> {
        ATLAS_TRY(auto file, AtomicFile::create(note_));
        ATLAS_TRY_VOID(file.write(json_text(nlohmann::json{{"url", request_.url}, {"version", version}}) + "\n"));
        return file.commit();
    }();
    if (!written) error_ = written.error();
    return written.has_value();
}

bool Part::write(const char* data, size_t bytes) {
    if (request_.bytes && bytes_ + bytes > *request_.bytes) {
        error_ = Error{ErrorCode::corrupt,
                       fmt::format("the server sends more than the {} bytes that are expected", *request_.bytes)};
        return false;
    }
    while (bytes > 0) {
        const ssize_t written = ::pwrite(file_, data, bytes, static_cast<off_t>(bytes_));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            error_ = disk_error(errno);
            return false;
        }
        data += written;
        bytes -= static_cast<size_t>(written);
        bytes_ += static_cast<uint64_t>(written);
    }
    return true;
}

Result<std::string> Part::check() {
    if (::fsync(file_) != 0) return tl::unexpected(disk_error(errno));
    if (options_.on_note && bytes_ >= kLargeBytes)
        options_.on_note(fmt::format("checking {} ({})", printable(target_.filename().string()), bytes_text(bytes_)));
    // Read back by name, so that what is renamed is what was hashed, whatever was received.
    ATLAS_TRY(const FileHash found, hash_file(path_, options_.stop, options_.on_check));
    const std::string url = printable(request_.url, 400);
    if (found.bytes != bytes_)
        return fail(ErrorCode::corrupt, "{}: {} bytes came, but {} lie on the disk: does another program write there?",
                    url, bytes_, found.bytes);
    if (request_.bytes && bytes_ != *request_.bytes)
        return fail(ErrorCode::corrupt, "{}: {} bytes came, {} are expected", url, bytes_, *request_.bytes);
    if (request_.sha256 && found.sha256 != *request_.sha256) {
        return fail(ErrorCode::corrupt,
                    "{}: the SHA-256 of what came is {}, expected {}; the file is damaged or another one", url,
                    found.sha256, printable(*request_.sha256));
    }
    return found.sha256;
}

Result<void> Part::finish() {
    ATLAS_TRY_VOID(os::replace_file(path_, target_));
    std::error_code ignored;  // the next download of this name removes it
    fs::remove(note_, ignored);
    return {};
}

Error Part::disk_error(int reason) const {
    std::error_code error;
    const auto space = fs::space(path_.parent_path(), error);
    const std::string needed =
        total_bytes ? fmt::format("{} more are needed, ", bytes_text(*total_bytes - std::min(*total_bytes, bytes_)))
                    : "";
    return {ErrorCode::io, fmt::format("{}: {}: {}{} are free", in_quotes(path_.string(), 400), std::strerror(reason),
                                       needed, error ? "?" : bytes_text(space.available))};
}

}  // namespace atlas::tools
