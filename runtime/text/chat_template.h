#pragma once
// Chat templates: the Jinja text that a model file carries, rendered by an interpreter of ours with limits (the text is
// untrusted).

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

namespace atlas {

struct TemplateLimits {
    std::chrono::milliseconds time{2000};
    size_t max_output_bytes = 64u << 20;
    size_t max_template_bytes = 1u << 20;
    size_t max_memory_bytes = 512u << 20;  // all live values together
    int max_depth = 200;                   // nesting of expressions, blocks, macro calls and values
    uint64_t max_steps = 50'000'000;       // evaluated nodes, copied elements, 32 bytes of text
};

/// A parsed template. Immutable and safe to share between threads.
class ChatTemplate {
  public:
    /// Fails: corrupt (syntax, with line and column), limit.
    static Result<ChatTemplate> parse(std::string_view source, const TemplateLimits& limits = {});
    ChatTemplate(ChatTemplate&&) noexcept;
    ChatTemplate& operator=(ChatTemplate&&) noexcept;
    ~ChatTemplate();

    /// Renders with the variables of `context` (messages, tools, add_generation_prompt, bos_token, ...; objects keep
    /// their order). Equal byte for byte to jinja2's sandboxed environment with trim_blocks and lstrip_blocks and the
    /// globals raise_exception, strftime_now and the filter tojson as Hugging Face defines it. `now` is the time that
    /// strftime_now shows, in local time; nothing = the system's clock. Fails: invalid_argument (the template called
    /// raise_exception: its message), corrupt (undefined names used, wrong types), limit, unsupported (an integer
    /// beyond 64 bits).
    Result<std::string> render(const nlohmann::ordered_json& context,
                               std::optional<std::chrono::system_clock::time_point> now = {}) const;

  private:
    struct Impl;
    explicit ChatTemplate(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace atlas
