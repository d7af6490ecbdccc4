// atlas-vk chat: a conversation at the terminal.
#include <optional>

#include "runtime/base/in_quotes.h"
#include "runtime/base/user_dirs.h"
#include "runtime/text/chat_prompt.h"
#include "tools/chat/dialogue.h"
#include "tools/ends_soon.h"
#include "tools/interrupt.h"
#include "tools/line_editor.h"
#include "tools/messages.h"
#include "tools/models/environment.h"
#include "tools/offer_pull.h"
#include "tools/open_device.h"
#include "tools/open_model.h"
#include "tools/subcommands.h"
#include "tools/terminal.h"

namespace atlas::tools {

namespace {

struct ChatFlags {
    ModelFlags model;
    SamplingFlags sampling;
    SpeculationFlags speculation;
    ReportFlags report;
    std::string system;
    ContextPolicy policy = ContextPolicy::shift;
    bool resume = false;
    bool is_private = false;
};

// The state folder of this user; empty: nothing is kept.
std::filesystem::path state_folder(const ChatFlags& flags) {
    const auto dirs = user_dirs(system_environment);
    return dirs && !flags.is_private ? dirs->state : std::filesystem::path();
}

Result<void> chat(const ChatFlags& flags) {
    Interrupt interrupt;
    {
        const Interrupt::AtOnce nothing_to_lose;
        // This may ask a question, which needs the terminal before the editor changes it.
        ATLAS_TRY_VOID(find_or_pull(flags.model.model, flags.model.pull));
    }
    const auto state = state_folder(flags);
    LineEditor editor(state.empty() ? state : state / "chat_history", system_environment("TERM").value_or(""));
    Interrupt::before_exit(TerminalGuard::restore);
    keep_finished_work();  // Ctrl-C stops an answer only
    std::optional<LineEditor::TypeAhead> while_loading(editor);
    ATLAS_TRY(OpenModel open, open_model(flags.model, flags.speculation));
    ATLAS_TRY(const auto chat_prompt, ChatPrompt::open(*open.file));
    if (!chat_prompt.note().empty()) print_note(chat_prompt.note());
    ATLAS_TRY(const auto speculation, make_speculation(flags.speculation, open));
    open.draft_tokens_by(speculation.get());
    Replies replies(open, chat_prompt, flags.sampling, speculation.get(), flags.policy);
    KeptTalk kept(state.empty() ? state : state / "chats", flags.model.model);
    DialogueOptions options;
    options.system = flags.system;
    options.stats = !flags.report.quiet;
    options.verbose = flags.report.verbose;
    options.resume = flags.resume;
    options.resume_command = fmt::format("atlas-vk chat -m {} --resume", printable(flags.model.model, 200));
    while_loading.reset();
    ATLAS_TRY_VOID(Dialogue(options, replies, kept, interrupt, editor).run());
    return check_validation(flags.model, *open.backend);
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<ChatFlags>();
    CLI::App* command = app.add_subcommand("chat", "Talk with a model at the terminal");
    command->footer("Inside:\n" + Dialogue::help());
    add_model_flags(*command, flags->model);
    command->add_option("--system", flags->system, "Set the system message");
    command->add_flag("--resume", flags->resume, "Continue the last chat");
    command->add_flag("--private", flags->is_private,
                      "Keep nothing of this chat on the disk, and no history of what is typed");
    command
        ->add_option_function<std::string>(
            "--context-policy",
            [flags](const std::string& policy) {
                flags->policy = policy == "stop" ? ContextPolicy::stop : ContextPolicy::shift;
            },
            "Choose what happens when the context is full: shift leaves out the oldest turns (not the system message), "
            "stop ends the answer (default: shift)")
        ->check(CLI::IsMember({"shift", "stop"}));
    add_report_flags(*command, flags->report);
    add_sampling_flags(*command, flags->sampling);
    add_speculation_flags(*command, flags->speculation);
    command->callback([flags, &exit_code] {
        if (auto done = chat(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
