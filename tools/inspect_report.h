#pragma once
// The content of `atlas-vk inspect`, independent of how it is printed.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/gguf/reader.h"

namespace atlas::tools {

struct FormatShare {
    std::string format;  // "q4_k", or the known name of a type this build cannot read
    bool readable = false;
    uint64_t n_tensors = 0;
    uint64_t elems = 0;
    uint64_t bytes = 0;  // 0 when not readable
};

struct InspectReport {
    std::vector<std::pair<std::string, std::string>> facts;  // label, words; in the order to print
    std::vector<FormatShare> formats;                        // largest first
    uint64_t n_parameters = 0;                               // of all tensors; stops at 2^64 - 1
    double bits_per_weight = 0;                              // of the readable tensors; 0 when there are none
};

InspectReport inspect_report(const gguf::File& file);

/// The format's name as formats.def or, for types this build cannot read, the GGUF specification spells it; "type 77"
/// otherwise.
std::string type_name(uint32_t gguf_type);

uint64_t n_elems(const gguf::TensorInfo& tensor);

/// "[576, 49152]", outermost first.
std::string shape_text(const gguf::TensorInfo& tensor);

/// One line: the value, arrays cut to their first entries ("[1, 2, 3, ... 49152 in all]"), strings made safe to print.
std::string value_text(const gguf::KeyValue& entry);

/// "u32", "array of string".
std::string value_type_text(const gguf::KeyValue& entry);

/// Everything as JSON text; arrays longer than `max_array` show their first entries and their length.
std::string inspect_json(const gguf::File& file, size_t max_array);

}  // namespace atlas::tools
