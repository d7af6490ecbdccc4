// From template text to tokens. The rules (what a minus sign eats, which newline a tag swallows) follow jinja2 3.x with
// trim_blocks and lstrip_blocks. Source: the jinja2 documentation, "Whitespace Control", and its behaviour.
#include <array>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/string_literal.h"
#include "runtime/text/jinja/token.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

constexpr std::string_view kDigits = "0123456789";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
  public:
    explicit Lexer(std::string_view source) : source_(source) {}

    std::vector<Token> run() {
        while (at_ < source_.size()) text_until_tag();
        add(TokenKind::end, {}, source_.size());
        return std::move(tokens_);
    }

  private:
    [[noreturn]] void fail_at(size_t offset, std::string_view what) {
        raise("{}: {}", describe_position(source_, offset), what);
    }

    void add(TokenKind kind, std::string text, size_t offset) {
        tokens_.push_back({kind, std::move(text), static_cast<uint32_t>(offset)});
    }

    bool at(size_t offset, std::string_view word) const { return source_.substr(offset).starts_with(word); }

    size_t skip_space(size_t offset) const {
        while (offset < source_.size()) {
            const Unit unit = unit_at(source_, offset);
            if (!is_space(unit.code_point)) break;
            offset += unit.bytes;
        }
        return offset;
    }

    // Moves on to `offset`; lstrip asks whether what was read last ended a line.
    void advance_to(size_t offset) {
        line_starting_ = offset > 0 && source_[offset - 1] == '\n';
        at_ = offset;
    }

    // The text before a tag, less what the tag's sign or lstrip_blocks takes from its end.
    void add_data(size_t begin, size_t end, char sign, bool may_lstrip) {
        std::string_view text = source_.substr(begin, end - begin);
        if (sign == '-') {
            text = strip_right(text);
        } else if (sign != '+' && may_lstrip) {
            const size_t newline = text.rfind('\n');
            const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
            if ((line > 0 || line_starting_) && strip_left(text.substr(line)).empty()) text = text.substr(0, line);
        }
        if (!text.empty()) add(TokenKind::data, std::string(text), begin);
    }

    void text_until_tag() {
        size_t tag = at_;
        while ((tag = source_.find('{', tag)) != std::string_view::npos) {
            const char second = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
            if (second == '{' || second == '%' || second == '#') break;
            ++tag;
        }
        if (tag == std::string_view::npos) {
            add(TokenKind::data, std::string(source_.substr(at_)), at_);
            at_ = source_.size();
            return;
        }
        const char type = source_[tag + 1];
        const char sign =
            tag + 2 < source_.size() && (source_[tag + 2] == '-' || source_[tag + 2] == '+') ? source_[tag + 2] : '\0';
        const size_t inside = tag + 2 + (sign != '\0' ? 1 : 0);
        add_data(at_, tag, sign, type != '{');
        if (type == '#') return comment(tag, inside);
        if (const size_t raw_body = type == '%' ? raw_begin(inside) : 0; raw_body > 0) return raw(tag, raw_body);
        add(type == '{' ? TokenKind::variable_begin : TokenKind::block_begin, {}, tag);
        at_ = inside;
        inside_tag(tag, type == '%');
    }

    void comment(size_t tag, size_t inside) {
        if (inside == source_.size()) return advance_to(inside);  // jinja2 lets a template end so
        const size_t end = source_.find("#}", inside);
        if (end == std::string_view::npos) fail_at(tag, "comment without its end '#}'");
        // A sign belongs to the end only when it lies inside of the comment.
        const char sign = end > inside ? source_[end - 1] : '\0';
        advance_to(after_end(end + 2, sign));
    }

    // Where the text continues after the end of a block or comment.
    size_t after_end(size_t offset, char sign) const {
        if (sign == '-') return skip_space(offset);
        if (sign != '+' && at(offset, "\n")) return offset + 1;
        return offset;
    }

    // Offset of the text inside when {% raw %} begins here, else 0.
    size_t raw_begin(size_t inside) const {
        size_t offset = skip_space(inside);
        if (!at(offset, "raw")) return 0;
        offset = skip_space(offset + 3);
        if (at(offset, "%}")) return offset + 2;
        return at(offset, "-%}") ? skip_space(offset + 3) : 0;
    }

    void raw(size_t tag, size_t body) {
        if (body == source_.size()) return advance_to(body);  // jinja2 lets a template end so
        line_starting_ = source_[body - 1] == '\n';
        for (size_t begin = source_.find("{%", body); begin != std::string_view::npos;
             begin = source_.find("{%", begin + 1)) {
            const char next = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
            const char sign = next == '-' || next == '+' ? next : '\0';
            size_t offset = skip_space(begin + 2 + (sign != '\0' ? 1 : 0));
            if (!at(offset, "endraw")) continue;
            offset = skip_space(offset + 6);
            const char end_sign = at(offset, "-%}") ? '-' : at(offset, "+%}") ? '+' : '\0';
            if (end_sign != '\0') ++offset;
            if (!at(offset, "%}")) continue;
            add_data(body, begin, sign, true);
            return advance_to(after_end(offset + 2, end_sign));
        }
        fail_at(tag, "raw block without its {% endraw %}");
    }

    void inside_tag(size_t tag, bool block) {
        const std::string_view close = block ? "%}" : "}}";
        while (at_ < source_.size()) {
            if (brackets_.empty()) {
                const char c = source_[at_];
                const bool sign = (c == '-' || (block && c == '+')) && at(at_ + 1, close);
                if (sign || at(at_, close)) {
                    add(block ? TokenKind::block_end : TokenKind::variable_end, {}, at_);
                    const size_t after = at_ + (sign ? 3 : 2);
                    if (block) return advance_to(after_end(after, sign ? c : '\0'));
                    return advance_to(sign ? skip_space(after) : after);
                }
            }
            one_token();
        }
        fail_at(tag, fmt::format("tag without its end '{}'", close));
    }

    void one_token() {
        const size_t start = at_;
        if (const size_t after = skip_space(start); after != start) {
            at_ = after;
        } else if (is_digit(source_[start])) {
            number();
        } else if (is_name_char(source_[start])) {
            while (at_ < source_.size() && is_name_char(source_[at_])) ++at_;
            add(TokenKind::name, std::string(source_.substr(start, at_ - start)), start);
        } else if (source_[start] == '"' || source_[start] == '\'') {
            quoted();
        } else {
            punctuation();
        }
    }

    // Digits with single underscores between them, from `offset`; returns the end.
    size_t digits(size_t offset, std::string_view allowed) const {
        const auto good = [&](size_t i) {
            return i < source_.size() && allowed.find(source_[i]) != std::string_view::npos;
        };
        while (good(offset) || (at(offset, "_") && good(offset + 1))) ++offset;
        return offset;
    }

    void number() {
        const size_t start = at_;
        const char next = start + 1 < source_.size() ? static_cast<char>(source_[start + 1] | 0x20) : '\0';
        const auto radix = [&](std::string_view allowed) {
            const size_t end = digits(start + 2, allowed);
            if (end > start + 2) at_ = end;
            return end > start + 2;
        };
        TokenKind kind = TokenKind::integer;
        const bool prefixed =
            source_[start] == '0' && ((next == 'x' && radix("0123456789abcdefABCDEF")) ||
                                      (next == 'o' && radix("01234567")) || (next == 'b' && radix("01")));
        if (!prefixed) {
            size_t end = digits(start, kDigits);
            // A dot before the number means an item by position, a.0.1, and no fraction.
            const bool after_dot = start > 0 && source_[start - 1] == '.';
            if (!after_dot && at(end, ".") && end + 1 < source_.size() && is_digit(source_[end + 1])) {
                end = digits(end + 1, kDigits);
                kind = TokenKind::real;
            }
            if (!after_dot && end < source_.size() && (source_[end] | 0x20) == 'e') {
                const size_t sign =
                    end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
                if (end + 1 + sign < source_.size() && is_digit(source_[end + 1 + sign])) {
                    end = digits(end + 1 + sign, kDigits);
                    kind = TokenKind::real;
                }
            }
            // 0, 00 are integers; of 012 only the zero is one.
            if (kind == TokenKind::integer && source_[start] == '0') end = digits(start, "0");
            at_ = end;
        }
        std::string text;
        for (const char c : source_.substr(start, at_ - start))
            if (c != '_') text += c;
        add(kind, std::move(text), start);
    }

    void quoted() {
        const size_t start = at_;
        const char quote = source_[start];
        size_t end = start + 1;
        while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
        if (end >= source_.size()) fail_at(start, "string without its closing quote");
        try {
            add(TokenKind::string, unescape(source_.substr(start + 1, end - start - 1)), start);
        } catch (const TemplateError& error) {
            fail_at(start, error.message);
        }
        at_ = end + 1;
    }

    void punctuation() {
        static constexpr std::array<std::string_view, 26> kSymbols = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                                      "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                                      ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
        for (const std::string_view symbol : kSymbols) {
            if (!at(at_, symbol)) continue;
            if (symbol == "(" || symbol == "[" || symbol == "{") {
                brackets_ += symbol == "(" ? ')' : symbol == "[" ? ']' : '}';
            } else if (symbol == ")" || symbol == "]" || symbol == "}") {
                if (brackets_.empty()) fail_at(at_, fmt::format("'{}' closes nothing", symbol));
                if (brackets_.back() != symbol[0])
                    fail_at(at_, fmt::format("found '{}', expected '{}'", symbol, brackets_.back()));
                brackets_.pop_back();
            }
            add(TokenKind::punctuation, std::string(symbol), at_);
            at_ += symbol.size();
            return;
        }
        fail_at(at_, fmt::format("unexpected character {:?}", source_.substr(at_, unit_at(source_, at_).bytes)));
    }

    std::string_view source_;
    size_t at_ = 0;
    bool line_starting_ = true;
    std::string brackets_;  // the closing brackets that are awaited
    std::vector<Token> tokens_;
};

}  // namespace

std::string describe_position(std::string_view source, size_t offset_bytes) {
    const std::string_view before = source.substr(0, offset_bytes);
    const size_t newline = before.rfind('\n');
    size_t line = 1;
    for (const char c : before) line += c == '\n' ? 1 : 0;
    const std::string_view in_line = newline == std::string_view::npos ? before : before.substr(newline + 1);
    return fmt::format("line {}, column {}", line, count_code_points(in_line) + 1);
}

std::string normalize_newlines(std::string_view source) {
    std::string text;
    text.reserve(source.size());
    for (size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r') {
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
            text += '\n';
        } else {
            text += source[i];
        }
    }
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace atlas::jinja
