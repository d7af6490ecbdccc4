#pragma once
// The program's messages on stderr, in one shape: "atlas-vk: error: ...".

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "runtime/base/error.h"

namespace atlas::tools {

void print_note(std::string_view text);
void print_warning(std::string_view text);

/// Prints the error and returns its exit code: 2 for invalid_argument (the request makes no sense, wherever that is
/// found), else 1, or 128 plus the signal's number where the user stopped the program (Ctrl-C: 130, SIGTERM: 143). A
/// stop is not an error and is not printed as one.
int print_error(const Error& error);

/// Prints what is wrong with the command line and where its help is; returns 2. `command` is empty if none was given.
int print_wrong_usage(std::string_view command, std::string_view text);

/// Sends the runtime's log to stderr in the shape of our messages; with SPDLOG_LEVEL=debug also what helps developers,
/// with times.
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
