#pragma once
// JSON that is written for users and programs.

#include <nlohmann/json.hpp>
#include <string>

#include "runtime/base/in_quotes.h"

namespace atlas {

/// `json` as text; bytes that are not UTF-8 (a model's output, a file's name) become U+FFFD instead of an exception.
/// What a terminal could obey is escaped (\u202e): the same JSON, and safe to look at.
/// `indent`: spaces per level; -1: one line.
template <class Json>
std::string json_text(const Json& json, int indent = -1) {
    return with_json_escapes(json.dump(indent, ' ', false, Json::error_handler_t::replace));
}

}  // namespace atlas
