#include "tools/messages.h"

#include "tools/interrupt.h"

namespace atlas::tools {

void print_note(std::string_view text) { fmt::print(stderr, "atlas-vk: note: {}\n", text); }

void print_warning(std::string_view text) { fmt::print(stderr, "atlas-vk: warning: {}\n", text); }

int print_error(const Error& error) {
    if (error.code == ErrorCode::cancelled) {
        fmt::print(stderr, "atlas-vk: {}\n", error.message);
        return Interrupt::exit_code();
    }
    fmt::print(stderr, "atlas-vk: error: {}\n", error.message);
    return 1;
}

}  // namespace atlas::tools
