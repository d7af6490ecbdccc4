#include "tools/models/store.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/base/edit_distance.h"
#include "runtime/base/user_dirs.h"
#include "tools/model_path.h"
#include "tools/models/environment.h"

namespace atlas::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNote = "model.json";  // written last: its presence says that the model is complete

Result<StoredModel> read_note(const fs::path& folder) {
    std::ifstream file(folder / kNote);
    const auto note = nlohmann::json::parse(file, nullptr, false);
    if (!note.is_object() || !note.contains("file") || !note["file"].is_string())
        return fail(ErrorCode::corrupt, "{}: not a note on a model; 'atlas-vk rm {}' and pull it again", (folder / kNote).string(), folder.filename().string());
    StoredModel model;
    model.name = folder.filename().string();
    model.folder = folder;
    model.path = folder / note["file"].get<std::string>();
    if (note.contains("source") && note["source"].is_string()) model.source = note["source"].get<std::string>();
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
        if (entry.path().extension() == ".gguf") model.bytes += entry.file_size(error);
    return model;
}

}  // namespace

std::string stored_name(std::string_view text) {
    std::string name;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || c == '.' || c == '-' || c == '_') {
            name += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        } else if (!name.empty() && name.back() != '-') {
            name += '-';
        }
    }
    // No hidden folders, and none that mean a parent.
    name.erase(0, std::min(name.find_first_not_of("."), name.size()));
    return name;
}

Result<std::vector<StoredModel>> ModelStore::list() const {
    std::vector<StoredModel> models;
    std::error_code error;
    if (!fs::exists(folder_, error)) return models;
    fs::directory_iterator entries(folder_, error);
    if (error) return fail(ErrorCode::io, "{}: cannot list the stored models: {}", folder_.string(), error.message());
    for (const auto& entry : entries) {
        if (!fs::exists(entry.path() / kNote, error)) continue;
        ATLAS_TRY(auto model, read_note(entry.path()));
        models.push_back(std::move(model));
    }
    std::ranges::sort(models, {}, &StoredModel::name);
    return models;
}

Result<StoredModel> ModelStore::find(std::string_view name) const {
    ATLAS_TRY(auto models, list());
    std::vector<std::string> names;
    for (auto& model : models) {
        if (model.name == stored_name(name)) return std::move(model);
        names.push_back(model.name);
    }
    std::string hint;
    for (const std::string& near : nearest_names(name, names)) hint += (hint.empty() ? "; did you mean " : ", ") + near;
    if (hint.empty()) hint = names.empty() ? "; no model is stored yet" : "; 'atlas-vk list' shows what is stored";
    return fail(ErrorCode::not_found, "'{}' is no stored model{}", name, hint);
}

Result<void> ModelStore::remove(std::string_view name) const {
    const fs::path folder = folder_ / stored_name(name);
    std::error_code error;
    if (stored_name(name).empty() || !fs::is_directory(folder, error)) {
        ATLAS_TRY(const auto model, find(name));
        return fail(ErrorCode::not_found, "{}: no such folder", model.folder.string());
    }
    // The note first: half a model is none.
    fs::remove(folder / kNote, error);
    fs::remove_all(folder, error);
    if (error) return fail(ErrorCode::io, "{}: cannot be deleted: {}", folder.string(), error.message());
    return {};
}

Result<fs::path> ModelStore::folder_for(std::string_view name) const {
    if (stored_name(name).empty()) return fail(ErrorCode::invalid_argument, "'{}' cannot be the name of a model: give one with --name", name);
    const fs::path folder = folder_ / stored_name(name);
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return fail(ErrorCode::io, "{}: cannot make this folder: {}", folder.string(), error.message());
    return folder;
}

Result<void> ModelStore::finish(std::string_view name, const fs::path& path, std::string_view source) const {
    const fs::path folder = folder_ / stored_name(name);
    const nlohmann::json note = {{"file", path.filename().string()}, {"source", source}};
    const fs::path part = folder / "model.json.part";
    std::ofstream file(part);
    file << note.dump(2) << '\n';
    file.close();
    std::error_code error;
    if (file) fs::rename(part, folder / kNote, error);
    if (!file || error) return fail(ErrorCode::io, "{}: cannot be written: {}", (folder / kNote).string(), error ? error.message() : "disk full?");
    return {};
}

std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string>& candidates) {
    std::vector<std::pair<size_t, std::string>> rated;
    for (const std::string& candidate : candidates) {
        const bool part = !name.empty() && (candidate.find(name) != std::string::npos || name.find(candidate) != std::string_view::npos);
        const size_t edits = edit_distance(name, candidate);
        if (part || edits <= std::max<size_t>(2, name.size() / 3)) rated.emplace_back(part ? 0 : edits, candidate);
    }
    std::ranges::sort(rated);
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min<size_t>(rated.size(), 3); ++i) names.push_back(rated[i].second);
    return names;
}

Result<fs::path> find_model_in(const ModelStore& store, const std::string& name) {
    std::error_code error;
    if (fs::is_regular_file(name, error)) return fs::path(name);
    if (name.find('/') != std::string::npos || name.ends_with(".gguf")) return fail(ErrorCode::not_found, "{}: no such file", name);
    const auto model = store.find(name);
    if (model) return model->path;
    return fail(model.error().code, "{}, and no file of this name exists; 'atlas-vk pull NAME' fetches a model", model.error().message);
}

Result<ModelStore> user_store() {
    ATLAS_TRY(const auto dirs, user_dirs(system_environment));
    return ModelStore(dirs.cache / "models");
}

Result<fs::path> find_model(const std::string& name) {
    // Without a home folder a path still works.
    auto store = user_store();
    return find_model_in(store ? *store : ModelStore({}), name);
}

}  // namespace atlas::tools
