#include "tools/models/resolve.h"

#include <algorithm>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostListed = 3;

std::string listed(std::vector<std::string> names) {
    std::ranges::sort(names);
    std::string text;
    for (size_t i = 0; i < std::min(names.size(), kMostListed); ++i) text += (i == 0 ? "" : ", ") + names[i];
    return names.size() > kMostListed ? text + ", ..." : text;
}

// GGUF files in a directory, to be named in a message.
std::string models_in(const fs::path& directory) {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator entries(directory, error);
    for (const fs::directory_iterator end; !error && entries != end; entries.increment(error))
        if (entries->path().extension() == ".gguf") names.push_back(printable(entries->path().filename().string()));
    return listed(std::move(names));
}

// Stored models whose names hold every word of this one.
std::string stored_with_words_of(const ModelStore& store, std::string_view name) {
    std::vector<std::string> words(1);
    for (const char c : stored_name(name)) {
        if (c != '-' && c != '_')
            words.back() += c;
        else if (!words.back().empty())
            words.emplace_back();
    }
    const auto models = store.list();
    if (!models || words.front().empty()) return "";
    std::vector<std::string> names;
    for (const StoredModel& model : *models) {
        const auto is_there = [&](const std::string& word) { return model.name.find(word) != std::string::npos; };
        if (std::ranges::all_of(words, is_there)) names.push_back(printable(model.name));
    }
    return listed(std::move(names));
}

Error directory_error(const std::string& name) {
    const std::string files = models_in(name);
    return {ErrorCode::invalid_argument,
            fmt::format("{} is a directory: name a .gguf file in it{}", in_quotes(name, kMostShownPath),
                        files.empty() ? "; it holds none" : ", of " + files)};
}

ResolvedModel unknown(ErrorCode code, std::string message) { return {{}, {}, {}, {code, std::move(message)}}; }

}  // namespace

ResolvedModel resolve_model(const ModelStore& store, const std::string& name) {
    std::error_code error;
    const auto kind = fs::status(name, error);
    if (fs::is_regular_file(kind)) return {name, {}, {}, {}};
    const bool is_path = name.starts_with('.') || name.starts_with('/') || name.starts_with('~') ||
                         name.ends_with('/') || name.ends_with(".gguf");
    const bool is_plain = !is_path && name.find('/') == std::string::npos;
    const auto stored = store.find(name);
    if (is_plain && stored) return {stored->path, {}, {}, {}};
    if (fs::is_directory(kind)) return {{}, {}, {}, directory_error(name)};
    if (fs::exists(kind))
        return unknown(ErrorCode::invalid_argument,
                       fmt::format("{} is no regular file", in_quotes(name, kMostShownPath)));
    const auto source = parse_source(name);
    if (source) {
        if (const auto model = store.find_source(source->text)) return {model->path, {}, {}, {}};
        const std::string from = source->text == name ? "" : " from " + printable(source->text, 200);
        const std::string similar = stored_with_words_of(store, name);
        return {{},
                *source,
                similar,
                {ErrorCode::not_found,
                 fmt::format("{} is not stored here{}: 'atlas-vk pull {}' fetches it{}", in_quotes(name, 200),
                             similar.empty() ? "" : fmt::format(" (stored, with a similar name: {})", similar),
                             printable(name, 200), from)}};
    }
    if (!is_plain)
        return unknown(ErrorCode::not_found, fmt::format("{}: no such file", in_quotes(name, kMostShownPath)));
    if (!stored && stored.error().code != ErrorCode::not_found) return {{}, {}, {}, stored.error()};
    const bool is_source = name.find(':') != std::string::npos || source.error().code == ErrorCode::not_found;
    if (is_source) return {{}, {}, {}, source.error()};
    const std::string hint = store.hint_for(name);
    return unknown(
        ErrorCode::not_found,
        fmt::format("{} is not stored here, no file, and not in the catalogue{} 'atlas-vk pull --help' lists "
                    "the catalogue; hf:owner/repo[:quant] names any repository",
                    in_quotes(name), hint.empty() ? "." : "; " + hint));
}

Result<fs::path> find_model_in(const ModelStore& store, const std::string& name) {
    ResolvedModel found = resolve_model(store, name);
    if (found.path.empty()) return tl::unexpected(std::move(found.error));
    return std::move(found.path);
}

}  // namespace atlas::tools
