#include "tools/models/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "runtime/base/in_quotes.h"
#include "tools/models/source.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

std::string shown(const fs::path& archive) { return in_quotes(archive.string(), 400); }

// The library's messages may hold names from the archive.
std::string why(archive* reader) {
    const char* text = archive_error_string(reader);
    return text == nullptr ? "unknown error" : printable(text, 200);
}

// "x.gguf.part03" -> "x.gguf"; anything that is no model: empty.
std::string model_name(std::string member, bool& is_part) {
    member = member.substr(member.find_last_of("/\\") + 1);
    const size_t part = member.rfind(".part");
    is_part = part != std::string::npos && part + 5 < member.size() &&
              member.find_first_not_of("0123456789", part + 5) == std::string::npos;
    if (is_part) member = member.substr(0, part);
    return member.ends_with(".gguf") && is_safe_file_name(member) ? member : "";
}

Result<void> write_member(archive* reader, const fs::path& archive_path, const fs::path& target, bool append) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
        std::fopen(target.string().c_str(), append ? "ab" : "wb"), std::fclose);
    if (!file) return fail(ErrorCode::io, "cannot write {}: {}", in_quotes(target.string(), 400), std::strerror(errno));
    std::vector<char> buffer(1 << 20);
    while (true) {
        const la_ssize_t bytes = archive_read_data(reader, buffer.data(), buffer.size());
        if (bytes < 0) return fail(ErrorCode::corrupt, "{}: damaged archive: {}", shown(archive_path), why(reader));
        if (bytes == 0) break;
        if (std::fwrite(buffer.data(), 1, static_cast<size_t>(bytes), file.get()) != static_cast<size_t>(bytes))
            return fail(ErrorCode::io, "cannot write {}: {}", in_quotes(target.string(), 400), std::strerror(errno));
    }
    if (std::fflush(file.get()) != 0 || ::fsync(fileno(file.get())) != 0)
        return fail(ErrorCode::io, "cannot write {}: {}", in_quotes(target.string(), 400), std::strerror(errno));
    return {};
}

}  // namespace

Result<std::vector<fs::path>> unpack_models(const fs::path& archive_path, const fs::path& folder) {
    const std::unique_ptr<archive, int (*)(archive*)> reader(archive_read_new(), archive_read_free);
    archive_read_support_format_zip(reader.get());
    constexpr size_t kBlockBytes = 1 << 16;
    if (archive_read_open_filename(reader.get(), archive_path.string().c_str(), kBlockBytes) != ARCHIVE_OK)
        return fail(ErrorCode::corrupt, "{}: not a zip archive: {}", shown(archive_path), why(reader.get()));
    std::vector<fs::path> written;
    archive_entry* entry = nullptr;
    int code = ARCHIVE_OK;
    while ((code = archive_read_next_header(reader.get(), &entry)) == ARCHIVE_OK) {
        const char* member = archive_entry_pathname(entry);
        bool is_part = false;
        const std::string name = model_name(member == nullptr ? "" : member, is_part);
        if (name.empty()) continue;
        const fs::path target = folder / (name + ".unpacked");
        ATLAS_TRY_VOID(write_member(reader.get(), archive_path, target, is_part));
        if (std::ranges::find(written, target) == written.end()) written.push_back(target);
    }
    if (code != ARCHIVE_EOF)
        return fail(ErrorCode::corrupt, "{}: damaged archive: {}", shown(archive_path), why(reader.get()));
    if (written.empty())
        return fail(ErrorCode::corrupt, "{}: there is no GGUF file in this archive", shown(archive_path));
    return written;
}

}  // namespace atlas::tools
