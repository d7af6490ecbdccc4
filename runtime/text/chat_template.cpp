#include "runtime/text/chat_template.h"

#include <nlohmann/json.hpp>

#include "runtime/text/jinja/ast.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/globals.h"
#include "runtime/text/jinja/interpreter.h"
#include "runtime/text/jinja/json.h"
#include "runtime/text/jinja/token.h"

namespace atlas {

struct ChatTemplate::Impl {
    std::string source;  // line ends normalized; positions refer to it
    TemplateLimits limits;
    jinja::Block block;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const TemplateLimits& limits) {
    if (source.size() > limits.max_template_bytes)
        return fail(ErrorCode::limit, "chat template: {} bytes, at most {} are allowed", source.size(),
                    limits.max_template_bytes);
    auto impl = std::make_unique<Impl>();
    impl->source = jinja::normalize_newlines(source);
    impl->limits = limits;
    try {
        impl->block = jinja::parse_template(impl->source, limits);
    } catch (const jinja::TemplateError& error) {
        return fail(error.code, "chat template: {}", error.message);
    }
    return ChatTemplate(std::move(impl));
}

Result<std::string> ChatTemplate::render(const nlohmann::ordered_json& context,
                                         std::optional<std::chrono::system_clock::time_point> now) const {
    if (!context.is_object())
        return fail(ErrorCode::invalid_argument, "chat template: the context is a JSON object, found {}",
                    context.type_name());
    jinja::Budget budget(impl_->limits);
    try {
        const auto globals = jinja::make_globals(budget, now.value_or(std::chrono::system_clock::now()));
        jinja::Interpreter interpreter(budget, globals);
        try {
            for (const auto& [name, value] : context.items()) globals->set(name, jinja::from_json(budget, value));
            return interpreter.render(impl_->block);
        } catch (const jinja::TemplateError& error) {
            // A template's raise_exception message is meant for users, so no position precedes it.
            if (error.code == ErrorCode::invalid_argument) return fail(error.code, "{}", error.message);
            return fail(error.code, "chat template: {}: {}",
                        jinja::describe_position(impl_->source, interpreter.where()), error.message);
        }
    } catch (const jinja::TemplateError& error) {
        return fail(error.code, "chat template: {}", error.message);
    }
}

}  // namespace atlas
