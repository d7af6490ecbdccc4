#include "runtime/text/jinja/parameters.h"

#include <algorithm>

#include "runtime/text/jinja/error.h"

namespace atlas::jinja {

Parameters::Parameters(std::string_view function, const Arguments& arguments,
                       std::initializer_list<std::string_view> names, size_t required)
    : function_(function), values_(names.size()), given_(names.size(), false) {
    if (arguments.positional.size() > names.size())
        raise("{}() takes at most {} arguments, found {}", function, names.size(), arguments.positional.size());
    for (size_t i = 0; i < arguments.positional.size(); ++i) {
        values_[i] = arguments.positional[i];
        given_[i] = true;
    }
    for (const auto& [name, value] : arguments.named) {
        const auto index = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
        if (index == names.size()) raise("{}() has no parameter '{}'", function, name);
        if (given_[index]) raise("{}() got two values for '{}'", function, name);
        values_[index] = value;
        given_[index] = true;
    }
    for (size_t i = 0; i < required; ++i)
        if (!given_[i]) raise("{}() needs the argument '{}'", function, *(names.begin() + i));
}

const std::string& Parameters::text(size_t index) const {
    refuse_undefined(values_[index]);
    if (!values_[index].is_string()) raise("{}() needs a text, found {}", function_, type_name(values_[index]));
    return values_[index].text();
}

int64_t Parameters::integer(size_t index, int64_t absent) const {
    if (!given_[index]) return absent;
    refuse_undefined(values_[index]);
    if (!values_[index].is_integral()) raise("{}() needs an integer, found {}", function_, type_name(values_[index]));
    return values_[index].as_integer();
}

bool Parameters::flag(size_t index, bool absent) const { return given_[index] ? truth(values_[index]) : absent; }

}  // namespace atlas::jinja
