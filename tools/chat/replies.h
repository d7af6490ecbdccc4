#pragma once
// The model's side of a chat: an answer to the last question, within the context that there is.

#include <functional>
#include <stop_token>
#include <string>

#include "runtime/text/chat_prompt.h"
#include "tools/chat/conversation.h"
#include "tools/open_model.h"

namespace atlas::tools {

/// What to do when a conversation no longer fits into the context.
enum class ContextPolicy {
    shift,  // the oldest turns are left out, also in the middle of an answer
    stop,   // the question fails, an answer ends
};

/// All constructor arguments must outlive it.
class Replies {
  public:
    Replies(OpenModel& open, const ChatPrompt& chat_prompt, const SamplingFlags& sampling, Speculators* speculation,
            ContextPolicy policy)
        : open_(open), chat_prompt_(chat_prompt), sampling_(sampling), speculation_(speculation), policy_(policy) {}

    /// Writes an answer to the open question to stdout and returns it; the conversation's window may begin later than
    /// before. With a seed, each retry has a seed of its own: the next number. Fails: as ChatPrompt::render and
    /// generate. text_so_far() then has what was written.
    Result<GenerateReport> answer(Conversation& conversation, uint32_t n_retries, const std::stop_token& stop);
    const std::string& text_so_far() const { return text_; }
    /// Checks that the chat template accepts these messages. Fails: as ChatPrompt::render.
    Result<void> check(const Conversation& conversation) const;

    /// The line of figures after an answer, and how full the context is.
    void print_figures(const GenerateReport& report, bool verbose) const;

    uint32_t context_tokens() const { return open_.session->n_ctx(); }

  private:
    Result<std::vector<TokenId>> prompt_of(const nlohmann::ordered_json& window) const;
    Result<std::vector<TokenId>> fitted_prompt(Conversation& conversation);
    Result<std::vector<TokenId>> make_room(Conversation& conversation, size_t n_answer);
    void write(std::string_view piece);

    OpenModel& open_;
    const ChatPrompt& chat_prompt_;
    const SamplingFlags& sampling_;
    Speculators* speculation_;
    ContextPolicy policy_;
    std::string text_;
    size_t n_left_out_ = 0;  // messages, for this answer
};

}  // namespace atlas::tools
