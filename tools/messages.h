#pragma once
// What the program says on stderr beside its answers, in one shape: "atlas-vk: error: ...".

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "runtime/base/error.h"

namespace atlas::tools {

void print_note(std::string_view text);
void print_warning(std::string_view text);

/// Prints the error and returns the exit code that fits it: 2 for invalid_argument (what was asked for makes no sense, whatever found that), else 1,
/// or 128 plus the signal's number where the user stopped the program (Ctrl-C: 130, SIGTERM: 143). What was stopped is no error and is not called one.
int print_error(const Error& error);

/// Says what is wrong with the command line and where its rules are; returns 2. `command` is empty where there is none.
int print_wrong_usage(std::string_view command, std::string_view text);

/// What the runtime logs goes to stderr in the shape of our messages; with SPDLOG_LEVEL=debug also what is of use to developers, with times.
void send_log_to_stderr();

template <class... Args>
void note(fmt::format_string<Args...> text, Args&&... args) {
    print_note(fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
    print_warning(fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace atlas::tools
