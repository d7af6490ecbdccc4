#include "tools/models/package_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {
namespace {

// Runs of "-_." are one "-", letters are small. PEP 503.
std::string normalized(std::string_view name, char joiner) {
    std::string out;
    for (const char c : name) {
        const bool separator = c == '-' || c == '_' || c == '.';
        if (separator && (out.empty() || out.back() == joiner)) continue;
        out += separator ? joiner : static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return out;
}

std::string without_entities(std::string text) {
    for (const auto& [entity, character] :
         {std::pair{"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}})
        for (size_t at = 0; (at = text.find(entity, at)) != std::string::npos; ++at)
            text.replace(at, std::string_view(entity).size(), character);
    return text;
}

// The value of an attribute inside of a tag; quotes of both kinds.
std::string attribute(const std::string& tag, const std::string& name) {
    const size_t at = tag.find(name + "=");
    if (at == std::string::npos || at + name.size() + 2 > tag.size()) return {};
    const size_t begin = at + name.size() + 1;
    const char quote = tag[begin];
    if (quote != '"' && quote != '\'') return {};
    const size_t end = tag.find(quote, begin + 1);
    return end == std::string::npos ? "" : without_entities(tag.substr(begin + 1, end - begin - 1));
}

std::vector<IndexedFile> read_html(const std::string& text) {
    std::vector<IndexedFile> files;
    for (size_t at = 0; (at = text.find("<a ", at)) != std::string::npos;) {
        const size_t tag_end = text.find('>', at), end = text.find("</a", at);
        if (tag_end == std::string::npos || end == std::string::npos || end < tag_end) break;
        IndexedFile file;
        file.url = attribute(text.substr(at, tag_end - at), "href");
        file.name = without_entities(text.substr(tag_end + 1, end - tag_end - 1));
        const size_t hash = file.url.find("#sha256=");
        if (hash != std::string::npos) file.sha256 = file.url.substr(hash + 8);
        file.url = file.url.substr(0, file.url.find('#'));
        files.push_back(std::move(file));
        at = end;
    }
    return files;
}

std::vector<IndexedFile> read_json(const std::string& text) {
    std::vector<IndexedFile> files;
    const auto page = nlohmann::json::parse(text, nullptr, false);
    if (!page.is_object() || !page.contains("files") || !page["files"].is_array()) return files;
    for (const auto& entry : page["files"]) {
        if (!entry.is_object() || !entry.contains("filename") || !entry.contains("url") ||
            !entry["filename"].is_string() || !entry["url"].is_string())
            continue;
        IndexedFile file{entry["filename"].get<std::string>(), entry["url"].get<std::string>(), ""};
        if (entry.contains("hashes") && entry["hashes"].is_object() && entry["hashes"].contains("sha256") &&
            entry["hashes"]["sha256"].is_string())
            file.sha256 = entry["hashes"]["sha256"].get<std::string>();
        files.push_back(std::move(file));
    }
    return files;
}

}  // namespace

std::vector<IndexedFile> read_index_page(const std::string& text, const std::string& content_type) {
    return content_type.find("json") != std::string::npos ? read_json(text) : read_html(text);
}

std::string absolute_url(const std::string& base, const std::string& link) {
    if (link.find("://") != std::string::npos) return link;
    const size_t scheme = base.find("://");
    if (link.starts_with("//")) return base.substr(0, scheme + 1) + link;
    const size_t root = std::min(base.find('/', scheme + 3), base.size());
    if (link.starts_with("/")) return base.substr(0, root) + link;
    std::string folder = base.substr(0, std::max(base.find_last_of('/') + 1, root));
    if (!folder.ends_with('/')) folder += '/';
    std::string rest = link;
    while (rest.starts_with("../") || rest.starts_with("./")) {
        if (rest[1] == '.' && folder.size() > root + 1)
            folder = folder.substr(0, folder.find_last_of('/', folder.size() - 2) + 1);
        rest = rest.substr(rest[1] == '.' ? 3 : 2);
    }
    return folder + rest;
}

Result<RemoteFile> find_wheel(const std::string& index, const std::string& package, const std::string& version,
                              const DownloadOptions& options) {
    const std::string address =
        fmt::format("{}/{}/", index.substr(0, index.find_last_not_of('/') + 1), normalized(package, '-'));
    auto page = fetch_page(address, {"Accept: application/vnd.pypi.simple.v1+json, text/html;q=0.5"}, options);
    if (!page && page.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found, "the package index has no package {} ({})", in_quotes(package),
                    printable(address, 400));
    if (!page) return tl::unexpected(std::move(page).error());
    const std::string start = normalized(package, '_') + "-";
    std::string versions;
    for (const IndexedFile& file : read_index_page(page->text, page->content_type)) {
        // name-version-python-abi-platform.whl; the name in the file may have kept its capitals.
        if (!file.name.ends_with(".whl") || normalized(file.name.substr(0, file.name.find('-')), '_') + "-" != start)
            continue;
        const std::string rest = file.name.substr(file.name.find('-') + 1);
        const std::string its_version = rest.substr(0, rest.find('-'));
        if (its_version != version || !rest.ends_with("-any.whl")) {
            if (versions.find(its_version) == std::string::npos)
                versions += (versions.empty() ? "" : ", ") + printable(its_version);
            continue;
        }
        RemoteFile wheel;
        wheel.url = absolute_url(page->url, file.url);
        wheel.file_name = file.name;
        if (!is_safe_file_name(wheel.file_name)) continue;
        if (!file.sha256.empty()) wheel.sha256 = file.sha256;
        wheel.is_archive = true;
        return wheel;
    }
    return fail(ErrorCode::not_found, "the package {} has no wheel of version {} for every platform; there are: {}",
                in_quotes(package), printable(version), versions.empty() ? "none" : printable(versions, 1000));
}

}  // namespace atlas::tools
