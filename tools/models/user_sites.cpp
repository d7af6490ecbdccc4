#include "tools/models/user_sites.h"

#include <algorithm>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {
namespace {

// Empty counts as not set.
std::string value_of(const Environment& environment, const char* name) {
    std::string value = environment(name).value_or("");
    value.erase(value.find_last_not_of(" \t\r\n") + 1);
    return value.substr(std::min(value.find_first_not_of(" \t\r\n"), value.size()));
}

bool is_plain(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

Result<Sites> sites_of(const Environment& environment) {
    Sites sites;
    if (std::string endpoint = value_of(environment, "HF_ENDPOINT"); !endpoint.empty()) {
        if (!(endpoint.starts_with("https://") || endpoint.starts_with("http://")) || !is_plain(endpoint))
            return fail(ErrorCode::invalid_argument,
                        "HF_ENDPOINT is {}: expected an address such as https://huggingface.co", in_quotes(endpoint));
        endpoint.erase(endpoint.find_last_not_of('/') + 1);
        sites.hugging_face = std::move(endpoint);
    }
    if (std::string token = value_of(environment, "HF_TOKEN"); !token.empty()) {
        // Not shown: it is a secret.
        if (!is_plain(token))
            return fail(ErrorCode::invalid_argument, "HF_TOKEN holds spaces or control characters: expected one word");
        sites.hugging_face_token = std::move(token);
    }
    if (std::string index = value_of(environment, "PIP_INDEX_URL"); !index.empty())
        sites.package_index = std::move(index);
    return sites;
}

Authorities authorities_of(const Environment& environment) {
    Authorities authorities;
    authorities.file = value_of(environment, "CURL_CA_BUNDLE");
    if (authorities.file.empty()) authorities.file = value_of(environment, "SSL_CERT_FILE");
    authorities.folder = value_of(environment, "SSL_CERT_DIR");
    return authorities;
}

}  // namespace atlas::tools
