#include "tools/chat/conversation.h"

#include <algorithm>
#include <optional>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {

Result<Conversation> Conversation::from_json(const nlohmann::ordered_json& messages) {
    if (!messages.is_array())
        return fail(ErrorCode::corrupt, "expected an array of messages, found {}", messages.type_name());
    Conversation conversation("");
    for (size_t i = 0; i < messages.size(); ++i) {
        const auto text_of = [&message = messages[i]](const char* key) -> std::optional<std::string> {
            if (!message.is_object() || !message.contains(key) || !message.at(key).is_string()) return {};
            return message.at(key).get<std::string>();
        };
        const std::string role = text_of("role").value_or("");
        const auto content = text_of("content");
        const char* expected = conversation.is_open() ? "assistant" : "user";
        if (role != expected && (role != "system" || i > 0)) {
            return fail(ErrorCode::corrupt, "message {}: expected the role \"{}\"{}, found {}", i + 1, expected,
                        i == 0 ? " or \"system\"" : "", in_quotes(role, 40));
        }
        if (!content) return fail(ErrorCode::corrupt, "message {}: expected a text as \"content\"", i + 1);
        if (role == "system")
            conversation.system_ = *content;
        else
            conversation.messages_.push_back({role, *content});
    }
    if (conversation.messages_.empty()) return fail(ErrorCode::corrupt, "expected messages, found none");
    return conversation;
}

void Conversation::start_over(std::string system) {
    system_ = std::move(system);
    messages_.clear();
    begin_ = 0;
}

void Conversation::ask(std::string question) {
    if (is_open()) messages_.pop_back();
    messages_.push_back({"user", std::move(question)});
}

void Conversation::answer(std::string text) { messages_.push_back({"assistant", std::move(text)}); }

bool Conversation::reopen() {
    if (!messages_.empty() && !is_open()) messages_.pop_back();
    begin_ = std::min(begin_, messages_.empty() ? 0 : messages_.size() - 1);
    return is_open();
}

bool Conversation::undo() {
    if (!reopen()) return false;
    messages_.pop_back();
    begin_ = std::min(begin_, messages_.size());
    return true;
}

nlohmann::ordered_json Conversation::json_from(size_t begin) const {
    auto json = nlohmann::ordered_json::array();
    if (!system_.empty()) json.push_back({{"role", "system"}, {"content", system_}});
    for (size_t i = begin; i < messages_.size(); ++i)
        json.push_back({{"role", messages_[i].role}, {"content", messages_[i].content}});
    return json;
}

Result<size_t> Conversation::shorten(const Fits& fits) {
    const size_t before = begin_;
    const size_t last =
        messages_.empty() ? 0 : (messages_.size() - 1) / 2 * 2;  // the last question; questions have even places
    size_t low = begin_, high = std::max(begin_, last);
    while (low < high) {  // the first question from which on it fits
        const size_t middle = low + (high - low) / 4 * 2;
        ATLAS_TRY(const bool does, fits(json_from(middle)));
        if (does)
            high = middle;
        else
            low = middle + 2;
    }
    begin_ = low;
    return begin_ - before;
}

}  // namespace atlas::tools
