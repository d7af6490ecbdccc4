#pragma once
// The messages of a chat, and the part of them that the model still reads.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace atlas::tools {

struct Message {
    std::string role;  // user or assistant
    std::string content;
};

/// A system text and questions with their answers. All of them are kept; if the context is too short for them, the
/// window begins later.
class Conversation {
  public:
    explicit Conversation(std::string system) : system_(std::move(system)) {}
    /// Takes an array of {"role", "content"} as /save writes it. Fails: corrupt (another form, roles that do not
    /// alternate, no message).
    static Result<Conversation> from_json(const nlohmann::ordered_json& messages);

    const std::string& system() const { return system_; }
    /// Replaces the system text and forgets the rest.
    void start_over(std::string system);
    void clear() { start_over(system_); }

    /// An open question before this one is forgotten.
    void ask(std::string question);
    void answer(std::string text);
    /// Whether the last question has no answer yet.
    bool is_open() const { return !messages_.empty() && messages_.back().role == "user"; }
    /// Removes the last answer, so that its question is open; false: there is no question.
    bool reopen();
    /// Removes the last question and its answer; false: there is none.
    bool undo();

    size_t n_messages() const { return messages_.size(); }  // without the system text
    const std::vector<Message>& messages() const { return messages_; }
    nlohmann::ordered_json all() const { return json_from(0); }
    /// The system text and the messages of the window.
    nlohmann::ordered_json window() const { return json_from(begin_); }

    /// Makes the window shorter by whole turns, the oldest first, until it fits or holds only the last question.
    /// Returns how many messages left it. Fails: as `fits`.
    using Fits = std::function<Result<bool>(const nlohmann::ordered_json& window)>;
    Result<size_t> shorten(const Fits& fits);

  private:
    nlohmann::ordered_json json_from(size_t begin) const;

    std::string system_;
    std::vector<Message> messages_;  // user and assistant, alternating
    size_t begin_ = 0;               // of the window: a question, or the end
};

}  // namespace atlas::tools
