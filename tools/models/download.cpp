#include "tools/models/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/base/units.h"
#include "runtime/base/sha256.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kMostPageBytes = size_t{32} << 20;

// How one try ended.
struct Outcome {
    enum class Kind { done, again, over, failed } kind = Kind::done;  // over: start from the first byte
    Error error;
};

// One HTTP exchange. `sink` takes the body; false from it ends the exchange.
class Exchange {
  public:
    Exchange(const DownloadOptions& options, const std::string& url, const std::vector<std::string>& headers) : options_(options), handle_(curl_easy_init()) {
        for (const std::string& header : headers) add_header(header);
        set(CURLOPT_URL, url.c_str());
        set(CURLOPT_FOLLOWLOCATION, 1L);
        set(CURLOPT_MAXREDIRS, 10L);
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        // From an encrypted page never to an open one.
        set(CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https:") ? "https" : "http,https");
        set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.stall.count()));
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_USERAGENT, "atlas-vk");
        set(CURLOPT_WRITEFUNCTION, static_cast<size_t (*)(char*, size_t, size_t, void*)>(on_body));
        set(CURLOPT_WRITEDATA, this);
        set(CURLOPT_HEADERFUNCTION, static_cast<size_t (*)(char*, size_t, size_t, void*)>(on_header));
        set(CURLOPT_HEADERDATA, this);
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFOFUNCTION, static_cast<int (*)(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t)>(on_tick));
        set(CURLOPT_XFERINFODATA, this);
    }
    ~Exchange() {
        curl_slist_free_all(headers_);
        curl_easy_cleanup(handle_);
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    void add_header(const std::string& header) { headers_ = curl_slist_append(headers_, header.c_str()); }

    /// Runs it; says how it ended as far as the network goes.
    Outcome run() {
        set(CURLOPT_HTTPHEADER, headers_);
        last_byte_ = Clock::now();
        const CURLcode code = curl_easy_perform(handle_);
        if (options_.stop.stop_requested()) return {Outcome::Kind::failed, {ErrorCode::cancelled, "stopped"}};
        if (sink_ended_) return {Outcome::Kind::done, {}};
        if (stalled_) return again(fmt::format("no data for {}", duration_text(static_cast<double>(options_.stall.count()) / 1000)));
        if (code != CURLE_OK) {
            const bool hopeless = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_PEER_FAILED_VERIFICATION;
            return {hopeless ? Outcome::Kind::failed : Outcome::Kind::again, {ErrorCode::network, curl_easy_strerror(code)}};
        }
        return of_status();
    }

    long status() const {
        long code = 0;
        curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &code);
        return code;
    }
    std::string final_url() const {
        char* url = nullptr;
        curl_easy_getinfo(handle_, CURLINFO_EFFECTIVE_URL, &url);
        return url == nullptr ? "" : url;
    }
    std::string header(const std::string& name) const {
        const auto found = std::ranges::find(answer_, name, &std::pair<std::string, std::string>::first);
        return found == answer_.end() ? "" : found->second;
    }

    std::function<bool(const char* data, size_t bytes)> sink;

  private:
    template <class T>
    void set(CURLoption option, T value) {
        curl_easy_setopt(handle_, option, value);
    }

    static Outcome again(std::string why) { return {Outcome::Kind::again, {ErrorCode::network, std::move(why)}}; }

    Outcome of_status() const {
        const long code = status();
        const std::string what = fmt::format("the server answered {}", code);
        if (code >= 200 && code < 300) return {Outcome::Kind::done, {}};
        if (code == 416) return {Outcome::Kind::over, {ErrorCode::network, what}};
        if (code == 404 || code == 410) return {Outcome::Kind::failed, {ErrorCode::not_found, what + ": there is no such file"}};
        if (code == 401 || code == 403) return {Outcome::Kind::failed, {ErrorCode::network, what + ": this file is not open to everyone; does it need a token?"}};
        if (code == 408 || code == 425 || code == 429 || code >= 500) return again(what);
        return {Outcome::Kind::failed, {ErrorCode::network, what}};
    }

    static size_t on_body(char* data, size_t size, size_t count, void* self_pointer) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        self.last_byte_ = Clock::now();
        const long code = self.status();
        if (code < 200 || code >= 300) return size * count;  // the text of an error page
        if (self.sink(data, size * count)) return size * count;
        self.sink_ended_ = true;
        return 0;
    }

    static size_t on_header(char* data, size_t size, size_t count, void* self_pointer) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        self.last_byte_ = Clock::now();
        const std::string line(data, size * count);
        if (line.starts_with("HTTP/")) self.answer_.clear();  // each redirect has headers of its own
        const size_t colon = line.find(':');
        if (colon != std::string::npos) {
            std::string name = line.substr(0, colon);
            for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
            const size_t begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
            const size_t end = line.find_last_not_of(" \t\r\n");
            self.answer_.emplace_back(std::move(name), begin <= end ? line.substr(begin, end + 1 - begin) : "");
        }
        return size * count;
    }

    static int on_tick(void* self_pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
        auto& self = *static_cast<Exchange*>(self_pointer);
        if (self.options_.stop.stop_requested()) return 1;
        self.stalled_ = Clock::now() - self.last_byte_ > self.options_.stall;
        return self.stalled_ ? 1 : 0;
    }

    const DownloadOptions& options_;
    CURL* handle_;
    curl_slist* headers_ = nullptr;
    std::vector<std::pair<std::string, std::string>> answer_;
    Clock::time_point last_byte_;
    bool stalled_ = false, sink_ended_ = false;
};

// Waits; false when the user asked to stop meanwhile.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop) {
    for (const auto end = Clock::now() + time; Clock::now() < end;) {
        if (stop.stop_requested()) return false;
        std::this_thread::sleep_for(std::min<Clock::duration>(std::chrono::milliseconds(50), end - Clock::now()));
    }
    return !stop.stop_requested();
}

// Tries `attempt` until it is done, fails for good, or makes no progress for options.tries times. `progress` tells how far it is.
Result<void> with_tries(const DownloadOptions& options, const std::string& what, const std::function<Outcome()>& attempt,
                        const std::function<uint64_t()>& progress) {
    auto wait = options.first_pause;
    for (int number = 1;;) {
        const uint64_t before = progress();
        const Outcome outcome = attempt();
        if (outcome.kind == Outcome::Kind::done) return {};
        if (outcome.kind == Outcome::Kind::failed) return tl::unexpected(Error{outcome.error.code, fmt::format("{}: {}", what, outcome.error.message)});
        if (progress() > before) {
            number = 1;
            wait = options.first_pause;
        }
        if (++number > options.tries)
            return fail(ErrorCode::network, "{}: {}; gave up after {} tries. Run it again to go on from there", what, outcome.error.message, options.tries);
        if (options.on_note)
            options.on_note(fmt::format("{}; try {} of {} in {}", outcome.error.message, number, options.tries, duration_text(static_cast<double>(wait.count()) / 1000)));
        if (!pause(wait, options.stop)) return fail(ErrorCode::cancelled, "{}: stopped", what);
        wait *= 2;
    }
}

// The file that grows, with its hash and the note that says which version of the remote file it is a part of.
class Part {
  public:
    explicit Part(const DownloadRequest& request)
        : request_(request), path_(request.target.string() + ".part"), note_(request.target.string() + ".part.json") {}
    ~Part() { close(); }

    /// Takes over what an earlier call left, if it fits.
    void resume() {
        std::ifstream note_file(note_);
        const auto note = nlohmann::json::parse(note_file, nullptr, false);
        const bool fits = note.is_object() && note.value("url", "") == request_.url && !note.value("version", "").empty();
        std::ifstream part(path_, std::ios::binary);
        if (!fits || !part) return;
        version_ = note.value("version", "");
        std::vector<char> buffer(1 << 20);
        while (part.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || part.gcount() > 0) {
            hash_.add(buffer.data(), static_cast<size_t>(part.gcount()));
            bytes_ += static_cast<uint64_t>(part.gcount());
        }
    }

    void start_over() {
        close();
        bytes_ = 0;
        hash_.restart();
        version_.clear();
        std::error_code error;
        fs::remove(path_, error);
        fs::remove(note_, error);
    }

    /// Before the first byte of a body: opens the file and notes the version (ETag or date) that the bytes belong to.
    bool open(const std::string& version) {
        version_ = version;
        std::ofstream(note_) << nlohmann::json{{"url", request_.url}, {"version", version}}.dump() << '\n';
        file_ = std::fopen(path_.string().c_str(), bytes_ > 0 ? "ab" : "wb");
        if (file_ == nullptr) error_ = {ErrorCode::io, fmt::format("{}: cannot be written: {}", path_.string(), std::strerror(errno))};
        return file_ != nullptr;
    }

    bool write(const char* data, size_t bytes) {
        if (std::fwrite(data, 1, bytes, file_) != bytes || (request_.bytes && bytes_ + bytes > *request_.bytes)) {
            const bool too_long = request_.bytes && bytes_ + bytes > *request_.bytes;
            error_ = too_long ? Error{ErrorCode::corrupt, fmt::format("the server sends more than the {} bytes that are expected", *request_.bytes)} : disk_error();
            return false;
        }
        hash_.add(data, bytes);
        bytes_ += bytes;
        return true;
    }

    /// All of the file is on the disk; false with error() when it is not.
    bool close() {
        if (file_ == nullptr) return true;
        const bool good = std::fclose(std::exchange(file_, nullptr)) == 0;
        if (!good) error_ = disk_error();
        return good;
    }

    std::string hash() { return hash_.hexadecimal(); }
    uint64_t bytes() const { return bytes_; }
    const std::string& version() const { return version_; }
    const std::optional<Error>& error() const { return error_; }
    bool is_open() const { return file_ != nullptr; }
    const fs::path& path() const { return path_; }
    const fs::path& note() const { return note_; }
    std::optional<uint64_t> total_bytes;

  private:
    Error disk_error() const {
        std::string why = std::strerror(errno);
        std::error_code error;
        const auto space = fs::space(path_.parent_path(), error);
        const std::string needed = total_bytes ? fmt::format("{} more are needed, ", bytes_text(*total_bytes - std::min(*total_bytes, bytes_))) : "";
        return {ErrorCode::io, fmt::format("{}: {}: {}{} are free", path_.string(), why, needed, error ? "?" : bytes_text(space.available))};
    }

    const DownloadRequest& request_;
    fs::path path_, note_;
    std::FILE* file_ = nullptr;
    Sha256 hash_;
    uint64_t bytes_ = 0;
    std::string version_;
    std::optional<Error> error_;
};

// What tells one version of a remote file from another; a weak ETag does not promise equal bytes.
std::string version_of(const Exchange& exchange) {
    const std::string tag = exchange.header("etag");
    if (!tag.empty() && !tag.starts_with("W/")) return tag;
    return exchange.header("last-modified");
}

// The first byte's answer: whether it continues the part or begins anew.
bool begin_body(const Exchange& exchange, Part& part, bool asked_for_rest) {
    const std::string version = version_of(exchange);
    const std::string range = exchange.header("content-range");
    const bool continues = exchange.status() == 206 && asked_for_rest && range.starts_with(fmt::format("bytes {}-", part.bytes()));
    if (!continues) part.start_over();
    const uint64_t length = std::strtoull(exchange.header("content-length").c_str(), nullptr, 10);
    if (length > 0) part.total_bytes = part.bytes() + length;
    return part.open(version);
}

Outcome attempt(const DownloadRequest& request, const DownloadOptions& options, Part& part) {
    Exchange exchange(options, request.url, request.headers);
    const bool rest = part.bytes() > 0 && !part.version().empty();
    if (!rest) part.start_over();
    if (rest) {
        exchange.add_header(fmt::format("Range: bytes={}-", part.bytes()));
        exchange.add_header("If-Range: " + part.version());
    }
    exchange.sink = [&](const char* data, size_t bytes) {
        if (!part.is_open() && !begin_body(exchange, part, rest)) return false;
        if (!part.write(data, bytes)) return false;
        if (options.on_progress) options.on_progress(part.bytes(), request.bytes ? request.bytes : part.total_bytes);
        return true;
    };
    Outcome outcome = exchange.run();
    part.close();
    if (part.error()) return {Outcome::Kind::failed, *part.error()};
    if (outcome.kind == Outcome::Kind::over) {
        // "Range not satisfiable": the part holds all there is, or more than that.
        if (exchange.header("content-range") == fmt::format("bytes */{}", part.bytes())) return {Outcome::Kind::done, {}};
        part.start_over();
        return {Outcome::Kind::again, outcome.error};
    }
    if (outcome.kind == Outcome::Kind::done && part.total_bytes && part.bytes() < *part.total_bytes)
        return {Outcome::Kind::again, {ErrorCode::network, "the connection ended early"}};
    return outcome;
}

Result<void> check_whole(const DownloadRequest& request, Part& part, const std::string& hash) {
    if (request.bytes && part.bytes() != *request.bytes)
        return fail(ErrorCode::corrupt, "{}: {} bytes came, {} are expected", request.url, part.bytes(), *request.bytes);
    if (request.sha256 && hash != *request.sha256)
        return fail(ErrorCode::corrupt, "{}: the SHA-256 of what came is {}, expected {}; the file is damaged or another one", request.url, hash, *request.sha256);
    return {};
}

}  // namespace

Result<std::string> download(const DownloadRequest& request, const DownloadOptions& options) {
    Part part(request);
    part.resume();
    bool resumed = part.bytes() > 0;
    while (true) {
        ATLAS_TRY_VOID(with_tries(options, request.url, [&] { return attempt(request, options, part); }, [&] { return part.bytes(); }));
        const std::string hash = part.hash();
        const auto good = check_whole(request, part, hash);
        if (good) {
            // An answer without a body (an empty file) has opened nothing yet.
            if (part.bytes() == 0 && !(part.open("") && part.close())) return tl::unexpected(*part.error());
            std::error_code error;
            fs::rename(part.path(), request.target, error);
            if (error) return fail(ErrorCode::io, "{}: cannot be renamed to {}: {}", part.path().string(), request.target.string(), error.message());
            fs::remove(part.note(), error);
            return hash;
        }
        part.start_over();
        if (!resumed) return tl::unexpected(good.error());
        // The old part may have been the bad one: once more from the first byte.
        resumed = false;
        if (options.on_note) options.on_note("the resumed file is not the expected one; starting over");
    }
}

Result<Page> fetch_page(const std::string& url, const std::vector<std::string>& headers, const DownloadOptions& options) {
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
        if (too_long) return {Outcome::Kind::failed, {ErrorCode::limit, fmt::format("the page is larger than {}", bytes_text(kMostPageBytes))}};
        page.url = exchange.final_url();
        page.content_type = exchange.header("content-type");
        return outcome;
    };
    ATLAS_TRY_VOID(with_tries(options, url, once, [] { return uint64_t{0}; }));
    return page;
}

}  // namespace atlas::tools
