#include "runtime/text/jinja/str_format.h"

#include <algorithm>
#include <charconv>

#include "runtime/text/jinja/error.h"
#include "runtime/text/jinja/number_format.h"
#include "runtime/text/jinja/operators.h"
#include "runtime/text/jinja/text_of.h"

namespace atlas::jinja {
namespace {

class Filler {
  public:
    Filler(Budget& budget, const Arguments& arguments, bool safe)
        : budget_(budget), arguments_(arguments), safe_(safe) {}

    // `level` 1 is inside of a specification, where places may stand too.
    std::string fill(std::string_view format, int level) {
        std::string out;
        for (size_t at = 0; at < format.size();) {
            const char c = format[at];
            if ((c == '{' || c == '}') && at + 1 < format.size() && format[at + 1] == c) {
                out += c;
                at += 2;
            } else if (c == '}') {
                raise("format(): a single '}}' in the text");
            } else if (c == '{') {
                const size_t end = closing(format, at + 1);
                out += place(format.substr(at + 1, end - at - 1), level);
                at = end + 1;
            } else {
                out += c;
                ++at;
            }
            budget_.step();
            if (out.size() > budget_.limits().max_output_bytes) budget_.string_size(out.size());
        }
        return out;
    }

  private:
    static size_t closing(std::string_view format, size_t at) {
        for (int open = 0; at < format.size(); ++at) {
            if (format[at] == '{') ++open;
            if (format[at] == '}' && open-- == 0) return at;
        }
        raise("format(): a '{{' without its '}}'");
    }

    std::string place(std::string_view inside, int level) {
        if (level > 1) raise("format(): places are nested too deep");
        size_t name_end = 0;
        for (bool bracket = false; name_end < inside.size(); ++name_end) {
            if (inside[name_end] == '[') bracket = true;
            if (inside[name_end] == ']') bracket = false;
            if (!bracket && (inside[name_end] == '!' || inside[name_end] == ':')) break;
        }
        Value value = named(inside.substr(0, name_end));
        std::string_view rest = inside.substr(name_end);
        if (rest.starts_with("!")) {
            if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':')) raise("format(): a conversion is one letter");
            if (rest[1] != 's' && rest[1] != 'r' && rest[1] != 'a') raise("format(): unknown conversion '{}'", rest[1]);
            value = make_string(budget_, rest[1] == 's' ? text_of(budget_, value) : repr_of(budget_, value));
            rest = rest.substr(2);
        }
        const std::string specification = rest.empty() ? "" : fill(rest.substr(1), level + 1);
        const std::string text = styled(budget_, value, specification);
        if (!safe_ || (value.is_string() && value.safe())) return text;
        return escaped(budget_, make_string(budget_, text));
    }

    Value named(std::string_view name) {
        const size_t end = std::min(name.find_first_of(".["), name.size());
        Value value = first(name.substr(0, end));
        for (std::string_view rest = name.substr(end); !rest.empty();) {
            const bool item = rest[0] == '[';
            const size_t stop = item ? rest.find(']') : std::min(rest.find_first_of(".[", 1), rest.size());
            if (stop == std::string_view::npos) raise("format(): a '[' without its ']'");
            const std::string_view key = rest.substr(1, stop - 1);
            value = item ? get_item(budget_, value, key_of(key)) : get_attribute(budget_, value, key);
            rest = rest.substr(stop + (item ? 1 : 0));
            if (!rest.empty() && rest[0] != '.' && rest[0] != '[') raise("format(): unexpected text after ']'");
        }
        return value;
    }

    Value key_of(std::string_view key) {
        int64_t number = 0;
        const auto result = std::from_chars(key.data(), key.data() + key.size(), number);
        if (result.ec == std::errc() && result.ptr == key.data() + key.size() && key[0] != '-')
            return Value::integer(number);
        return make_string(budget_, std::string(key));
    }

    Value first(std::string_view name) {
        if (!name.empty() && (name[0] < '0' || name[0] > '9')) {
            for (const auto& [key, value] : arguments_.named)
                if (key == name) return value;
            raise("format(): there is no argument '{}'", name);
        }
        size_t index = next_;
        if (name.empty()) {
            if (numbered_) raise("format(): numbered and unnumbered places are mixed");
            ++next_;
        } else {
            if (next_ > 0) raise("format(): numbered and unnumbered places are mixed");
            numbered_ = true;
            const auto result = std::from_chars(name.data(), name.data() + name.size(), index);
            if (result.ec != std::errc() || result.ptr != name.data() + name.size())
                raise("format(): '{}' is no place", name);
        }
        if (index >= arguments_.positional.size()) raise("format(): there is no argument number {}", index);
        return arguments_.positional[index];
    }

    Budget& budget_;
    const Arguments& arguments_;
    bool safe_;
    size_t next_ = 0;
    bool numbered_ = false;
};

}  // namespace

std::string str_format(Budget& budget, const Value& format, const Arguments& arguments) {
    return Filler(budget, arguments, format.safe()).fill(format.text(), 0);
}

}  // namespace atlas::jinja
