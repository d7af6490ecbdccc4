#pragma once
// Arguments of built-in functions, matched to parameter names.

#include <initializer_list>
#include <string_view>
#include <vector>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

class Parameters {
  public:
    /// Throws when there are too many arguments, unknown or doubled names, or fewer than `required`.
    Parameters(std::string_view function, const Arguments& arguments, std::initializer_list<std::string_view> names,
               size_t required = 0);

    /// The argument for parameter `index`, or none when it was not given.
    const Value& operator[](size_t index) const { return values_[index]; }
    bool has(size_t index) const { return given_[index]; }

    const std::string& text(size_t index) const;  // throws if it is not a text
    int64_t integer(size_t index, int64_t absent) const;
    bool flag(size_t index, bool absent) const;

  private:
    std::string_view function_;
    std::vector<Value> values_;
    std::vector<bool> given_;
};

}  // namespace atlas::jinja
