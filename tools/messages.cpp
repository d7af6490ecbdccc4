#include "tools/messages.h"

#include <spdlog/cfg/env.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>

#include "tools/fit_columns.h"
#include "tools/interrupt.h"
#include "tools/progress_bar.h"
#include "tools/terminal_text.h"

namespace atlas::tools {

namespace {

// Escapes what a file or a server put into a message, so that a terminal obeys none of it.
void print_line(std::string_view kind, std::string_view text) {
    write_stderr(fitted_to_stderr(fmt::format("atlas-vk: {}{}\n", kind, printable_lines(text))));
}

class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t text;
        formatter_->format(message, text);
        write_stderr(fitted_to_stderr(printable_lines({text.data(), text.size()})));
    }
    void flush_() override { std::fflush(stderr); }
};

}  // namespace

void print_note(std::string_view text) { print_line("note: ", text); }

void print_warning(std::string_view text) { print_line("warning: ", text); }

int print_error(const Error& error) {
    if (error.code == ErrorCode::cancelled) {
        print_line("", error.message);
        return Interrupt::exit_code();
    }
    print_line("error: ", error.message);
    return error.code == ErrorCode::invalid_argument ? 2 : 1;
}

int print_wrong_usage(std::string_view command, std::string_view text) {
    print_line("error: ", text);
    write_stderr(fmt::format("Run 'atlas-vk {}{}--help' for more.\n", command, command.empty() ? "" : " "));
    return 2;
}

void send_log_to_stderr() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("atlas-vk", std::make_shared<StderrSink>()));
    spdlog::cfg::load_env_levels();
    const bool is_for_developers = spdlog::get_level() < spdlog::level::info;
    spdlog::set_pattern(is_for_developers ? "[%Y-%m-%d %T.%e] [%l] %v" : "atlas-vk: %l: %v");
}

}  // namespace atlas::tools
