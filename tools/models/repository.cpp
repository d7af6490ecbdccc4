#include "tools/models/repository.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {
namespace {

bool is_name(std::string_view text) {
    return !text.empty() && text.front() != '.' && text.find("..") == std::string_view::npos &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '_' || c == '.';
           });
}

// A path as it stands in a URL: everything but unreserved characters and slashes escaped. RFC 3986, 2.3.
std::string url_path(std::string_view path) {
    std::string out;
    for (const char c : path) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                              c == '_' || c == '.' || c == '~' || c == '/';
        out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<uint8_t>(c));
    }
    return out;
}

std::optional<std::string> sha256_in(const nlohmann::json& entry) {
    if (!entry.contains("lfs") || !entry["lfs"].is_object() || !entry["lfs"].contains("oid") ||
        !entry["lfs"]["oid"].is_string())
        return std::nullopt;
    std::string hash = entry["lfs"]["oid"].get<std::string>();
    for (char& c : hash) c = static_cast<char>(c >= 'A' && c <= 'F' ? c + 32 : c);
    return hash;
}

}  // namespace

Result<Repository> parse_repository(std::string_view text) {
    const size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    const std::string_view quant = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    const size_t slash = name.find('/');
    const bool is_good =
        slash != std::string_view::npos && is_name(name.substr(0, slash)) && is_name(name.substr(slash + 1));
    if (!is_good || (colon != std::string_view::npos && quant.empty()))
        return fail(ErrorCode::invalid_argument, "{}: expected hf:owner/repo or hf:owner/repo:quant", in_quotes(text));
    return Repository{std::string(name), std::string(quant)};
}

Result<std::vector<RemoteFile>> repository_files(const Repository& repository, const Sites& sites,
                                                 const DownloadOptions& options) {
    std::vector<std::string> headers;
    if (!sites.hugging_face_token.empty()) headers.push_back("Authorization: Bearer " + sites.hugging_face_token);
    auto page =
        fetch_page(fmt::format("{}/api/models/{}/tree/main?recursive=true", sites.hugging_face, repository.name),
                   headers, options);
    if (!page && page.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found, "{} has no repository {}", sites.hugging_face, repository.name);
    if (!page) return tl::unexpected(std::move(page).error());
    const auto json = nlohmann::json::parse(page->text, nullptr, false);
    if (!json.is_array()) return fail(ErrorCode::corrupt, "{}: expected a list of files", printable(page->url, 400));
    std::vector<RemoteFile> files;
    for (const auto& entry : json) {
        if (!entry.is_object() || !entry.contains("path") || !entry["path"].is_string()) continue;
        RemoteFile file;
        file.file_name = entry["path"].get<std::string>();
        if (!is_safe_file_name(file.file_name.substr(file.file_name.rfind('/') + 1))) continue;
        file.url = fmt::format("{}/{}/resolve/main/{}", sites.hugging_face, repository.name, url_path(file.file_name));
        file.headers = headers;
        if (entry.contains("size") && entry["size"].is_number_unsigned()) file.bytes = entry["size"].get<uint64_t>();
        file.sha256 = sha256_in(entry);
        files.push_back(std::move(file));
    }
    return choose_model(files, repository);
}

}  // namespace atlas::tools
