#pragma once
// Reading the catalogue's JSON: every field is checked, and the first error is reported.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/planner/catalogue.h"

namespace atlas {

inline constexpr double kMostKeyBias = 1e6;

// Reads the fields of one entry and keeps the first error until the end.
class Fields {
  public:
    Fields(const nlohmann::json& json, std::string where) : json_(json), where_(std::move(where)) {
        if (!json.is_object()) complain("an object", json);
    }

    std::string text(const char* key, bool required = true) {
        const nlohmann::json* found = get(key, required);
        if (found == nullptr) return {};
        if (!found->is_string()) return complain(key, "a text", *found), std::string();
        return checked(key, *found);
    }
    std::vector<std::string> texts(const char* key) {
        std::vector<std::string> all;
        const nlohmann::json* found = get(key, false);
        if (found == nullptr) return all;
        if (!found->is_array()) return complain(key, "a list of texts", *found), all;
        for (const nlohmann::json& one : *found) {
            if (!one.is_string()) return complain(key, "a list of texts", one), all;
            all.push_back(checked(key, one));
        }
        return all;
    }
    double number(const char* key, double low, double high, bool required = true) {
        const nlohmann::json* found = get(key, required);
        if (found == nullptr) return 0;
        if (!found->is_number() || !(found->get<double>() >= low && found->get<double>() <= high)) {
            return complain(key, fmt::format("a number in {} .. {}", low, high), *found), 0.0;
        }
        return found->get<double>();
    }
    /// Leaves `to` as it is where the field is missing.
    void number_or(const char* key, double low, double high, double& to) {
        if (get(key, false) != nullptr) to = number(key, low, high);
    }
    template <class Int>
    void count(const char* key, Int& to, double high, bool required = true) {
        const nlohmann::json* found = get(key, required);
        if (found == nullptr) return;
        if (!found->is_number_unsigned() || found->get<double>() > high)
            return complain(key, fmt::format("a whole number up to {}", high), *found);
        to = static_cast<Int>(found->get<uint64_t>());
    }
    void flag(const char* key, bool& to) {
        const nlohmann::json* found = get(key, false);
        if (found == nullptr) return;
        if (!found->is_boolean()) return complain(key, "true or false", *found);
        to = found->get<bool>();
    }
    const nlohmann::json* get(const char* key, bool required) {
        const auto found = json_.is_object() ? json_.find(key) : json_.end();
        if (json_.is_object() && found != json_.end() && !found->is_null()) return &*found;
        if (required && json_.is_object()) complain(fmt::format("{}: missing field '{}'", where_, key));
        return nullptr;
    }
    void complain(const std::string& message) {
        if (!error_) error_ = Error{ErrorCode::corrupt, message};
    }
    void complain(const std::string& expected, const nlohmann::json& found) {
        complain(fmt::format("{}: expected {}, found {}", where_, expected, printable(json_text(found), 60)));
    }
    void complain(const char* key, const std::string& expected, const nlohmann::json& found) {
        complain(fmt::format("{}: field '{}': expected {}, found {}", where_, key, expected,
                             printable(json_text(found), 60)));
    }
    const std::optional<Error>& error() const { return error_; }

  private:
    // These texts are printed later, in tables and commands, so they must not hold control characters that move a
    // cursor.
    std::string checked(const char* key, const nlohmann::json& found) {
        auto text = found.get<std::string>();
        if (printable(text, text.size()) != text) complain(key, "a text without control characters", found);
        return text;
    }

    const nlohmann::json& json_;
    std::string where_;
    std::optional<Error> error_;
};

#define ATLAS_FIELDS_DONE(fields) \
    if ((fields).error()) return tl::unexpected(*(fields).error())

/// One row of "models". Fails: corrupt.
Result<CatalogueModel> read_catalogue_model(const nlohmann::json& entry, const std::string& where);

}  // namespace atlas
