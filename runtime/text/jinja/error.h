#pragma once
// Exceptions of the template interpreter. Thrown and caught only within this folder and chat_template.cpp: an
// interpreter unwinds from deep recursion, and passing a Result through every evaluated node would obscure the code.

#include <fmt/format.h>

#include <string>
#include <utility>

#include "runtime/base/error.h"

namespace atlas::jinja {

struct TemplateError {
    ErrorCode code = ErrorCode::corrupt;
    std::string message;
};

/// Fails the template: wrong syntax, wrong types, undefined names.
template <class... Args>
[[noreturn]] void raise(fmt::format_string<Args...> text, Args&&... args) {
    throw TemplateError{ErrorCode::corrupt, fmt::format(text, std::forward<Args>(args)...)};
}

/// Fails because a bound of TemplateLimits was reached.
template <class... Args>
[[noreturn]] void raise_limit(fmt::format_string<Args...> text, Args&&... args) {
    throw TemplateError{ErrorCode::limit, fmt::format(text, std::forward<Args>(args)...)};
}

}  // namespace atlas::jinja
