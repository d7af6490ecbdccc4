#include "tools/models/download.h"

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "tools/models/exchange.h"
#include "tools/models/part.h"

namespace atlas::tools {
namespace {

constexpr size_t kMostPageBytes = size_t{32} << 20;
constexpr size_t kMostShownUrl = 400;

// The identity of a version of a remote file; a weak ETag does not promise equal bytes. Empty: nothing that can be sent
// back.
std::string version_of(const Exchange& exchange) {
    const std::string tag = exchange.header("etag");
    if (is_version(tag) && !tag.starts_with("W/")) return tag;
    const std::string date = exchange.header("last-modified");
    return is_version(date) ? date : "";
}

// Called with the first byte of an answer: decides whether it continues the part or begins anew. False: neither, or the
// part cannot be written.
bool begin_body(const Exchange& exchange, Part& part, bool asked_for_rest) {
    const std::string range = exchange.header("content-range");
    const bool continues =
        exchange.status() == 206 && asked_for_rest && range.starts_with(fmt::format("bytes {}-", part.bytes()));
    if (exchange.status() == 206 && !continues) return false;
    const std::string version = version_of(exchange);
    if (!continues) part.start_over();
    const uint64_t length = std::strtoull(exchange.header("content-length").c_str(), nullptr, 10);
    if (length > 0) part.total_bytes = part.bytes() + length;
    return !part.error() && part.begin(version);
}

Outcome attempt(const DownloadRequest& request, const DownloadOptions& options, Part& part) {
    if (part.is_all()) return {};
    Exchange exchange(options, request.url, request.headers);
    const bool rest = part.bytes() > 0 && !part.version().empty();
    if (!rest) part.start_over();
    if (rest) {
        exchange.add_header(fmt::format("Range: bytes={}-", part.bytes()));
        exchange.add_header("If-Range: " + part.version());
    }
    bool has_begun = false;
    exchange.sink = [&](const char* data, size_t bytes) {
        if (!has_begun && !begin_body(exchange, part, rest)) return false;
        has_begun = true;
        if (!part.write(data, bytes)) return false;
        if (options.on_progress) options.on_progress(part.bytes(), request.bytes ? request.bytes : part.total_bytes);
        return true;
    };
    Outcome outcome = exchange.run();
    if (part.error()) return {Outcome::Kind::failed, *part.error()};
    if (outcome.kind == Outcome::Kind::over) {
        // "Range not satisfiable": the part holds all there is, or more than that.
        if (exchange.header("content-range") == fmt::format("bytes */{}", part.bytes()))
            return {Outcome::Kind::done, {}};
        part.start_over();
        return {Outcome::Kind::again, outcome.error};
    }
    if (outcome.kind == Outcome::Kind::done && !has_begun) {
        const bool is_empty_file = exchange.status() == 200;
        part.start_over();
        if (!is_empty_file)
            return {Outcome::Kind::again,
                    {ErrorCode::network, "the server sent another part of the file than it was asked for"}};
    }
    if (outcome.kind == Outcome::Kind::done && part.total_bytes && part.bytes() < *part.total_bytes)
        return {Outcome::Kind::again, {ErrorCode::network, "the connection ended early"}};
    return outcome;
}

}  // namespace

Result<std::string> download(const FolderLock& folder, const DownloadRequest& request, const DownloadOptions& options) {
    Part part(folder.folder() / request.file_name, request, options);
    ATLAS_TRY_VOID(part.open());
    bool resumed = part.bytes() > 0;
    while (true) {
        ATLAS_TRY_VOID(with_tries(
            options, printable(request.url, kMostShownUrl), [&] { return attempt(request, options, part); },
            [&] { return part.bytes(); }));
        auto hash = part.check();
        if (hash) {
            ATLAS_TRY_VOID(part.finish());
            return hash;
        }
        if (hash.error().code != ErrorCode::corrupt) return hash;
        part.start_over();
        if (!resumed) return hash;
        // The old part may have been the bad one: once more from the first byte.
        resumed = false;
        if (options.on_note) options.on_note("the resumed file is not the expected one; starting over");
    }
}

Result<Page> fetch_page(const std::string& url, const std::vector<std::string>& headers,
                        const DownloadOptions& options) {
    Page page;
    bool too_long = false;
    const auto once = [&]() -> Outcome {
        Exchange exchange(options, url, headers);
        page.text.clear();
        exchange.sink = [&](const char* data, size_t bytes) {
            too_long = page.text.size() + bytes > kMostPageBytes;
            if (!too_long) page.text.append(data, bytes);
            return !too_long;
        };
        Outcome outcome = exchange.run();
        if (too_long)
            return {Outcome::Kind::failed,
                    {ErrorCode::limit, fmt::format("the page is larger than {}", bytes_text(kMostPageBytes))}};
        page.url = exchange.final_url();
        page.content_type = exchange.header("content-type");
        return outcome;
    };
    ATLAS_TRY_VOID(with_tries(options, printable(url, kMostShownUrl), once, [] { return uint64_t{0}; }));
    return page;
}

}  // namespace atlas::tools
