#include "runtime/text/chat_prompt.h"

#include <nlohmann/json.hpp>

#include "runtime/base/in_quotes.h"
#include "runtime/gguf/file_error.h"
#include "runtime/text/vocabulary.h"

namespace atlas {
namespace {

// ChatML, as far as role and text go.
constexpr std::string_view kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' "
    "}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// The text of the token that `key` names by its id; empty when the file names none.
Result<std::string> special_token(const gguf::File& file, std::string_view key) {
    // A file without a vocabulary has no spellings of its tokens.
    if (file.find(key) == nullptr || file.find("tokenizer.ggml.tokens") == nullptr) return std::string();
    ATLAS_TRY(const auto tokens, file.strings("tokenizer.ggml.tokens"));
    ATLAS_TRY(const auto id, read_token_id(file, key, tokens.size()));
    return id ? std::string(tokens[*id]) : std::string();
}

Result<std::optional<ChatTemplate>> named_template(const gguf::File& file, std::string_view key,
                                                   const TemplateLimits& limits) {
    if (file.find(key) == nullptr) return std::optional<ChatTemplate>();
    ATLAS_TRY(const std::string_view source, file.string(key));
    auto parsed = ChatTemplate::parse(source, limits);
    if (!parsed) return fail_in(key, std::move(parsed).error());
    return std::optional<ChatTemplate>(std::move(*parsed));
}

}  // namespace

struct ChatPrompt::Parts {
    std::optional<ChatTemplate> plain;
    std::optional<ChatTemplate> with_tools;
    std::string bos_token, eos_token, note;
    std::filesystem::path file;
};

ChatPrompt::ChatPrompt(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ChatPrompt::ChatPrompt(ChatPrompt&&) noexcept = default;
ChatPrompt& ChatPrompt::operator=(ChatPrompt&&) noexcept = default;
ChatPrompt::~ChatPrompt() = default;

Result<ChatPrompt> ChatPrompt::open(const gguf::File& file, const TemplateLimits& limits) {
    auto prompt = read(file, limits);
    if (!prompt) return gguf::fail_in_file(file.path(), std::move(prompt).error());
    return prompt;
}

Result<ChatPrompt> ChatPrompt::read(const gguf::File& file, const TemplateLimits& limits) {
    auto parts = std::make_unique<Parts>();
    parts->file = file.path();
    ATLAS_TRY(parts->bos_token, special_token(file, "tokenizer.ggml.bos_token_id"));
    ATLAS_TRY(parts->eos_token, special_token(file, "tokenizer.ggml.eos_token_id"));
    ATLAS_TRY(parts->plain, named_template(file, "tokenizer.chat_template", limits));
    ATLAS_TRY(parts->with_tools, named_template(file, "tokenizer.chat_template.tool_use", limits));
    if (!parts->plain) {
        auto chat_ml = ChatTemplate::parse(kChatMl, limits);
        if (!chat_ml) return tl::unexpected(std::move(chat_ml).error());
        parts->plain = std::move(*chat_ml);
        parts->note =
            "the file has no chat template (tokenizer.chat_template); ChatML is used, which the model may not know";
    }
    return ChatPrompt(std::move(parts));
}

const std::string& ChatPrompt::note() const { return parts_->note; }

Result<std::string> ChatPrompt::render(const Request& request) const {
    if (!request.messages.is_array())
        return fail(ErrorCode::invalid_argument, "messages: expected an array, found {}", request.messages.type_name());
    const bool has_tools = request.tools != nullptr && request.tools->is_array() && !request.tools->empty();
    // Absent tools and documents are none and not undefined, as in apply_chat_template.
    nlohmann::ordered_json context = {
        {"messages", request.messages},   {"tools", has_tools ? *request.tools : nlohmann::ordered_json()},
        {"documents", nullptr},           {"add_generation_prompt", request.add_generation_prompt},
        {"bos_token", parts_->bos_token}, {"eos_token", parts_->eos_token}};
    if (request.variables != nullptr) {
        if (!request.variables->is_object())
            return fail(ErrorCode::invalid_argument, "variables of the chat template: expected an object, found {}",
                        request.variables->type_name());
        for (const auto& [name, value] : request.variables->items()) context[name] = value;
    }
    const ChatTemplate& chosen = has_tools && parts_->with_tools ? *parts_->with_tools : *parts_->plain;
    auto text = chosen.render(context, request.now);
    if (text) return text;
    if (text.error().code != ErrorCode::invalid_argument)
        return gguf::fail_in_file(parts_->file, std::move(text).error());
    // raise_exception: what is asked for may be right, but this model does not take it.
    return fail(ErrorCode::unsupported, "the chat template of {} refuses: {}", in_quotes(parts_->file.string(), 400),
                text.error().message);
}

}  // namespace atlas
