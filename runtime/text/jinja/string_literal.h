#pragma once
// Backslash escapes of string literals.

#include <string>
#include <string_view>

namespace atlas::jinja {

/// Resolves the escapes of a Python string literal (the text between the quotes); unknown escapes stay as they are.
/// Throws TemplateError for a broken \x, \u or \U.
std::string unescape(std::string_view text);

}  // namespace atlas::jinja
