#pragma once
// From a conversation to the text that a model reads: the chat template of its file, or ChatML where it has none.

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "runtime/gguf/reader.h"
#include "runtime/text/chat_template.h"

namespace atlas {

/// The parsed template of one model file with its special tokens. Immutable, safe to share between threads.
class ChatPrompt {
  public:
    /// Takes `tokenizer.chat_template` and, for requests with tools, `tokenizer.chat_template.tool_use` where the file
    /// has it. Fails: corrupt (a template that does not parse, a special token outside of the vocabulary), limit.
    static Result<ChatPrompt> open(const gguf::File& file, const TemplateLimits& limits = {});
    ChatPrompt(ChatPrompt&&) noexcept;
    ChatPrompt& operator=(ChatPrompt&&) noexcept;
    ~ChatPrompt();

    struct Request {
        const nlohmann::ordered_json& messages;         // array of {"role", "content", ...}
        const nlohmann::ordered_json* tools = nullptr;  // array in the form of the OpenAI API; null = none
        bool add_generation_prompt = true;
        const nlohmann::ordered_json* variables =
            nullptr;  // object: more variables for the template (enable_thinking ...); null = none
        std::optional<std::chrono::system_clock::time_point> now = {};  // nothing = the system's clock
    };

    /// The prompt. Its special tokens are written out, BOS too where the template writes it: tokenize it with special
    /// tokens recognized, and add no second BOS. Fails: invalid_argument (messages are not an array), unsupported (the
    /// template refuses them: its message), corrupt, limit.
    Result<std::string> render(const Request& request) const;

    /// A note for the user ("the file has no chat template; ChatML is used"); empty if there is nothing to report.
    const std::string& note() const;

  private:
    struct Parts;
    static Result<ChatPrompt> read(const gguf::File& file, const TemplateLimits& limits);
    explicit ChatPrompt(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace atlas
