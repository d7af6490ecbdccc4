#include "tools/chat/talk_file.h"

#include <fmt/chrono.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/small_file.h"
#include "tools/messages.h"

namespace atlas::tools {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr size_t kMostTalkBytes = size_t{64} << 20;

Result<Json> read_json(const fs::path& path) {
    ATLAS_TRY(const std::string text, read_small_file(path, kMostTalkBytes));
    Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) return fail(ErrorCode::corrupt, "{} holds no JSON", in_quotes(path.string()));
    return json;
}

const Json& messages_of(const Json& json) {
    const auto found = json.is_object() ? json.find("messages") : json.end();
    return json.is_object() && found != json.end() ? *found : json;
}

// The file may have been changed: a member that is missing or of another type has its default.
template <class T>
T value_or(const Json& json, const char* key, T otherwise) {
    const auto found = json.is_object() ? json.find(key) : json.end();
    if (!json.is_object() || found == json.end()) return otherwise;
    if constexpr (std::is_same_v<T, bool>)
        return found->is_boolean() ? found->template get<bool>() : otherwise;
    else if constexpr (std::is_same_v<T, std::string>)
        return found->is_string() ? found->template get<std::string>() : otherwise;
    else
        return found->is_number_integer() ? found->template get<T>() : otherwise;
}

bool is_running(long process) { return process > 0 && (kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM); }

// Kept talks, the newest first: their names begin with the time.
std::vector<fs::path> kept_in(const fs::path& folder) {
    std::vector<fs::path> paths;
    std::error_code ignored;  // a folder that cannot be read counts as empty
    fs::directory_iterator entries(folder, ignored);
    for (const fs::directory_iterator end; !ignored && entries != end; entries.increment(ignored)) {
        const std::string name = entries->path().filename().string();
        if (name.starts_with("chat-") && name.ends_with(".json")) paths.push_back(entries->path());
    }
    std::sort(paths.rbegin(), paths.rend());
    return paths;
}

}  // namespace

Result<void> save_talk(const Conversation& conversation, const fs::path& path, bool may_replace) {
    std::error_code ignored;
    const fs::file_status status = fs::status(path, ignored);
    if (fs::exists(status) && !fs::is_regular_file(status))
        return fail(ErrorCode::invalid_argument, "{} is no regular file", in_quotes(path.string()));
    if (fs::exists(status) && !may_replace) {
        return fail(ErrorCode::invalid_argument,
                    "{} exists and is not overwritten: choose another name, or /save! to replace it",
                    in_quotes(path.string()));
    }
    const std::string text = json_text(conversation.all(), 2) + "\n";
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    ATLAS_TRY_VOID(file.write(text));
    return file.commit();
}

Result<Conversation> load_talk(const fs::path& path) {
    ATLAS_TRY(const Json json, read_json(path));
    auto conversation = Conversation::from_json(messages_of(json));
    if (!conversation) return fail_in(in_quotes(path.string()), conversation.error());
    return conversation;
}

KeptTalk::KeptTalk(fs::path folder, std::string model) : folder_(std::move(folder)), model_(std::move(model)) {
    begin_new();
}

void KeptTalk::begin_new() {
    if (folder_.empty()) return;
    const std::time_t now = std::time(nullptr);
    path_ = folder_ / fmt::format("chat-{:%Y%m%d-%H%M%S}-{}-{}.json", fmt::gmtime(now), getpid(), n_begun_++);
}

void KeptTalk::keep(const Conversation& conversation, bool ended) {
    if (folder_.empty()) return;
    const auto written = write(conversation, ended);
    if (!written && !said_) warning("this chat is not kept for --resume: {}", written.error().message);
    said_ = said_ || !written;
}

Result<void> KeptTalk::write(const Conversation& conversation, bool ended) {
    if (conversation.n_messages() == 0) {
        remove();
        return {};
    }
    std::error_code error;
    if (fs::create_directories(folder_, error)) fs::permissions(folder_, fs::perms::owner_all, error);
    const Json json{{"model", model_}, {"process", getpid()}, {"ended", ended}, {"messages", conversation.all()}};
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path_, true));
    ATLAS_TRY_VOID(file.write(json_text(json, 1) + "\n"));
    ATLAS_TRY_VOID(file.commit());
    remove_old();
    return {};
}

void KeptTalk::remove() {
    std::error_code ignored;  // it may never have been there
    if (!path_.empty()) fs::remove(path_, ignored);
}

void KeptTalk::remove_old() const {
    const auto paths = kept_in(folder_);
    std::error_code ignored;  // it is removed the next time
    for (size_t i = kMostKept; i < paths.size(); ++i) {
        if (paths[i] != path_) fs::remove(paths[i], ignored);
    }
}

std::optional<KeptTalk::Found> KeptTalk::newest() const {
    for (const fs::path& path : kept_in(folder_)) {
        if (path == path_) continue;
        const auto json = read_json(path);
        const auto conversation = json ? Conversation::from_json(messages_of(*json)) : tl::unexpected(json.error());
        if (!conversation) {
            const auto aside = conversation.error().code == ErrorCode::corrupt
                                   ? set_aside(path)
                                   : Result<fs::path>(tl::unexpected(conversation.error()));
            if (aside) warning("a kept chat is damaged and was renamed to {}", in_quotes(aside->string(), 200));
            continue;
        }
        Found found{path,
                    conversation->n_messages(),
                    value_or<std::string>(*json, "model", ""),
                    {},
                    value_or(*json, "ended", false)};
        found.ended = found.ended || is_running(value_or(*json, "process", 0L));
        std::error_code error;
        const auto written = fs::last_write_time(path, error);
        if (!error)
            found.age = std::chrono::duration_cast<std::chrono::seconds>(fs::file_time_type::clock::now() - written);
        return found;
    }
    return {};
}

}  // namespace atlas::tools
