#pragma once
// The pieces a template text is made of.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace atlas::jinja {

enum class TokenKind : uint8_t {
    data,            // text outside of all tags, as it will be printed
    variable_begin,  // {{
    variable_end,
    block_begin,  // {%
    block_end,
    name,
    string,  // text = the value, escapes resolved
    integer,
    real,
    punctuation,  // text = the operator or bracket
    end,          // after the last token
};

struct Token {
    TokenKind kind = TokenKind::end;
    std::string text;
    uint32_t offset_bytes = 0;  // in the normalized source

    bool is(std::string_view symbol) const { return kind == TokenKind::punctuation && text == symbol; }
    bool is_name(std::string_view word) const { return kind == TokenKind::name && text == word; }
};

/// "line 3, column 14" of a byte offset; columns count code points from 1.
std::string describe_position(std::string_view source, size_t offset_bytes);

/// Every kind of line end becomes \n, and one line end at the very end is dropped, as jinja2 does before lexing.
std::string normalize_newlines(std::string_view source);

/// Cuts a normalized source into tokens; whitespace control, trim_blocks, lstrip_blocks, comments and raw blocks are
/// resolved here. The last token is `end`. Throws TemplateError with the position.
std::vector<Token> tokenize(std::string_view source);

}  // namespace atlas::jinja
