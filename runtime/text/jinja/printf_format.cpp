#include "runtime/text/jinja/printf_format.h"

#include <algorithm>
#include <cmath>

#include "runtime/text/jinja/dict.h"
#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/number_format.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {
namespace {

class Formatter {
  public:
    Formatter(Budget& budget, std::string_view format, const Value& values)
        : budget_(budget), format_(format), values_(values) {}

    std::string run() {
        std::string out;
        while (at_ < format_.size()) {
            const size_t percent = std::min(format_.find('%', at_), format_.size());
            out += format_.substr(at_, percent - at_);
            at_ = percent;
            if (at_ < format_.size()) out += directive();
            budget_.string_size(out.size() > budget_.limits().max_output_bytes ? out.size() : 32);
        }
        // Of things that have items only a tuple must be used up.
        const bool has_items =
            values_.is(Kind::dict) || values_.is(Kind::list) || values_.is(Kind::range) || values_.is_undefined();
        const bool all_used =
            values_.is(Kind::tuple) ? next_ == values_.items().size() : next_ > 0 || mapped_ || has_items;
        if (!all_used) raise("'%' has more values than places");
        return out;
    }

  private:
    char peek() const {
        if (at_ >= format_.size()) raise("'%' has an incomplete format at its end");
        return format_[at_];
    }

    Value next_value() {
        if (values_.is(Kind::tuple)) {
            if (next_ >= values_.items().size()) raise("'%' has fewer values than places");
            return values_.items()[next_++];
        }
        if (next_++ > 0) raise("'%' has fewer values than places");
        return values_;
    }

    int64_t number() {
        if (peek() == '*') {
            ++at_;
            const Value value = next_value();
            if (!value.is_integral()) raise("a '*' in a format needs an integer");
            return value.as_integer();
        }
        int64_t value = 0;
        for (; peek() >= '0' && peek() <= '9'; ++at_) {
            value = value * 10 + (peek() - '0');
            if (value > INT32_MAX) raise_limit("a width in a format is too large");
        }
        return value;
    }

    std::string directive() {
        ++at_;
        NumberStyle style;
        std::string key;
        const bool by_key = peek() == '(';
        if (by_key) {
            const size_t end = format_.find(')', at_);
            if (end == std::string_view::npos) raise("'%(' has no ')'");
            key = format_.substr(at_ + 1, end - at_ - 1);
            at_ = end + 1;
        }
        bool left = false, zero = false;
        for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos; ++at_) {
            if (peek() == '-') left = true;
            if (peek() == '0') zero = true;
            if (peek() == '#') style.alternate = true;
            if (peek() == '+' || (peek() == ' ' && style.sign != '+')) style.sign = peek();
        }
        style.width = number();
        if (style.width < 0) {
            left = true;
            style.width = -style.width;
        }
        if (peek() == '.') {
            ++at_;
            style.precision = std::max<int64_t>(number(), 0);
        }
        while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
        const char type = format_[at_++];
        if (type == '%') return "%";
        style.align = left ? '<' : '>';
        if (zero && !left) style.align = '=';
        if (zero && !left) style.fill = "0";
        return laid_out(type, by_key ? by_name(key) : next_value(), style);
    }

    Value by_name(const std::string& key) {
        mapped_ = true;
        if (!values_.is(Kind::dict)) raise("'%(' needs a dict");
        const Value* found = values_.dict().find(key);
        if (found == nullptr) raise("'%({})' is not in the dict", key);
        return *found;
    }

    std::string laid_out(char type, const Value& value, NumberStyle style) {
        if (type == 's' || type == 'r' || type == 'a') {
            style.type = 's';
            if (style.align == '=') style.align = '>';
            style.fill = " ";
            return styled(budget_,
                          make_string(budget_, type == 's' ? text_of(budget_, value) : repr_of(budget_, value)), style);
        }
        refuse_undefined(value);
        if (type == 'c' && value.is_string()) {
            style.type = 's';
            return styled(budget_, value, style);
        }
        if (!value.is_number()) raise("'%{}' needs a number, found {}", type, type_name(value));
        if (type == 'd' || type == 'i' || type == 'u') {
            if (value.is(Kind::real) && !(std::abs(value.as_real()) < 9.0e18))
                raise("'%d' needs a finite number of 64 bits");
            style.type = 'd';
            return styled(
                budget_,
                Value::integer(value.is(Kind::real) ? static_cast<int64_t>(value.as_real()) : value.as_integer()),
                style);
        }
        if (std::string_view("xXoeEfFgGc").find(type) == std::string_view::npos) raise("'%{}' is no format", type);
        style.type = type;
        return styled(budget_, value, style);
    }

    Budget& budget_;
    std::string_view format_;
    const Value& values_;
    size_t at_ = 0;
    size_t next_ = 0;
    bool mapped_ = false;
};

}  // namespace

std::string printf_format(Budget& budget, std::string_view format, const Value& values) {
    return Formatter(budget, format, values).run();
}

}  // namespace atlas::jinja
