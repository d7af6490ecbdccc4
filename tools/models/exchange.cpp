#include "tools/models/exchange.h"

#include <algorithm>
#include <array>

#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"

namespace atlas::tools {
namespace {

using Clock = std::chrono::steady_clock;

// The headers that callers read; a server may send any number of others.
constexpr std::array<std::string_view, 5> kKept = {"etag", "last-modified", "content-range", "content-length",
                                                   "content-type"};

CURL* new_handle() {
    // Once, before threads can meet in it.
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    return ready == CURLE_OK ? curl_easy_init() : nullptr;
}

Outcome again(std::string why) { return {Outcome::Kind::again, {ErrorCode::network, std::move(why)}}; }
Outcome hopeless(std::string why) { return {Outcome::Kind::failed, {ErrorCode::network, std::move(why)}}; }

}  // namespace

Exchange::Exchange(const DownloadOptions& options, const std::string& url, const std::vector<std::string>& headers)
    : options_(options), handle_(new_handle()) {
    for (const std::string& header : headers) add_header(header);
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, 10L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_REDIR_PROTOCOLS_STR, url.starts_with("https:") ? "https" : "http,https");
    if (!options.authorities.file.empty()) {
        set(CURLOPT_CAINFO, options.authorities.file.c_str());
        set(CURLOPT_PROXY_CAINFO, options.authorities.file.c_str());
    }
    if (!options.authorities.folder.empty()) {
        set(CURLOPT_CAPATH, options.authorities.folder.c_str());
        set(CURLOPT_PROXY_CAPATH, options.authorities.folder.c_str());
    }
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.stall.count()));
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "atlas-vk");
    set(CURLOPT_WRITEFUNCTION, on_body);
    set(CURLOPT_WRITEDATA, this);
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_tick);
    set(CURLOPT_XFERINFODATA, this);
}

Exchange::~Exchange() {
    curl_slist_free_all(headers_);
    curl_easy_cleanup(handle_);
}

Outcome Exchange::run() {
    if (handle_ == nullptr) return hopeless("libcurl cannot start (is there no memory left?)");
    set(CURLOPT_HTTPHEADER, headers_);
    last_byte_ = Clock::now();
    const CURLcode code = curl_easy_perform(handle_);
    if (options_.stop.stop_requested()) return {Outcome::Kind::failed, {ErrorCode::cancelled, "stopped"}};
    if (sink_ended_) return {Outcome::Kind::done, {}};
    if (stalled_)
        return again(fmt::format("no data for {}", duration_text(static_cast<double>(options_.stall.count()) / 1000)));
    return code == CURLE_OK ? of_status() : failure(code);
}

Outcome Exchange::failure(CURLcode code) const {
    const std::string why = curl_easy_strerror(code);
    switch (code) {
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
        case CURLE_COULDNT_RESOLVE_PROXY:
            return hopeless(why);
        case CURLE_PEER_FAILED_VERIFICATION:
            return hopeless(
                why + "; where a company or a proxy signs with a certificate of its own, name that in SSL_CERT_FILE");
        case CURLE_SSL_CACERT_BADFILE:
            return hopeless(fmt::format(
                "{}: {} (SSL_CERT_FILE, CURL_CA_BUNDLE or SSL_CERT_DIR)", why,
                in_quotes((options_.authorities.file.empty() ? options_.authorities.folder : options_.authorities.file)
                              .string(),
                          400)));
        default:
            return again(why);
    }
}

long Exchange::status() const {
    long code = 0;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

std::string Exchange::final_url() const {
    char* url = nullptr;
    curl_easy_getinfo(handle_, CURLINFO_EFFECTIVE_URL, &url);
    return url == nullptr ? "" : url;
}

std::string Exchange::header(const std::string& name) const {
    const auto found = std::ranges::find(answer_, name, &std::pair<std::string, std::string>::first);
    return found == answer_.end() ? "" : found->second;
}

Outcome Exchange::of_status() const {
    const long code = status();
    const std::string what = fmt::format("the server answered {}", code);
    if (code >= 200 && code < 300) return {Outcome::Kind::done, {}};
    if (code == 416) return {Outcome::Kind::over, {ErrorCode::network, what}};
    if (code == 404 || code == 410)
        return {Outcome::Kind::failed, {ErrorCode::not_found, what + ": there is no such file"}};
    if (code == 401 || code == 403)
        return hopeless(what + ": not open to everyone. Does it need a token (HF_TOKEN), or is the name wrong?");
    if (code == 408 || code == 425 || code == 429 || code >= 500) return again(what);
    return hopeless(what);
}

size_t Exchange::on_body(char* data, size_t size, size_t count, void* self_pointer) {
    auto& self = *static_cast<Exchange*>(self_pointer);
    self.last_byte_ = Clock::now();
    const long code = self.status();
    if (code < 200 || code >= 300) return size * count;  // the text of an error page
    if (self.sink(data, size * count)) return size * count;
    self.sink_ended_ = true;
    return 0;
}

size_t Exchange::on_header(char* data, size_t size, size_t count, void* self_pointer) {
    auto& self = *static_cast<Exchange*>(self_pointer);
    self.last_byte_ = Clock::now();
    const std::string line(data, size * count);
    if (line.starts_with("HTTP/")) self.answer_.clear();  // each redirect has headers of its own
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return size * count;
    std::string name = line.substr(0, colon);
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (std::ranges::find(kKept, name) == kKept.end() || !self.header(name).empty()) return size * count;
    const size_t begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    const size_t end = line.find_last_not_of(" \t\r\n");
    self.answer_.emplace_back(std::move(name), begin <= end ? line.substr(begin, end + 1 - begin) : "");
    return size * count;
}

int Exchange::on_tick(void* self_pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& self = *static_cast<Exchange*>(self_pointer);
    if (self.options_.stop.stop_requested()) return 1;
    self.stalled_ = Clock::now() - self.last_byte_ > self.options_.stall;
    return self.stalled_ ? 1 : 0;
}

}  // namespace atlas::tools
