// The same report for programs.
#include <nlohmann/json.hpp>

#include "runtime/base/json_text.h"
#include "runtime/gguf/part.h"
#include "tools/inspect_report.h"

namespace atlas::tools {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
void put_value(Json& out, const T& value, size_t) {
    out["value"] = value;
}

template <class T>
void put_value(Json& out, const std::vector<T>& values, size_t max_array) {
    const bool whole = values.size() <= max_array;
    Json list = Json::array();
    for (size_t i = 0; i < (whole ? values.size() : max_array); ++i) list.push_back(static_cast<T>(values[i]));
    out["count"] = values.size();
    out[whole ? "value" : "first"] = std::move(list);
}

}  // namespace

std::string inspect_json(const gguf::File& file, size_t max_array) {
    const InspectReport report = inspect_report(file);
    Json out;
    out["file"] = {{"path", file.path().string()},
                   {"version", file.version()},
                   {"alignment", file.alignment()},
                   {"bytes", file.file_bytes()}};
    out["facts"] = Json::object();
    for (const auto& [label, words] : report.facts) out["facts"][label] = words;
    out["n_parameters"] = report.n_parameters;
    out["bits_per_weight"] = report.bits_per_weight;
    out["formats"] = Json::array();
    for (const FormatShare& share : report.formats) {
        out["formats"].push_back({{"format", share.format},
                                  {"readable", share.readable},
                                  {"n_tensors", share.n_tensors},
                                  {"n_elems", share.elems},
                                  {"bytes", share.bytes}});
    }
    out["keys"] = Json::object();
    for (const gguf::KeyValue& entry : file.key_values()) {
        Json value = {{"type", value_type_text(entry)}};
        std::visit([&](const auto& stored) { put_value(value, stored, max_array); }, entry.value);
        out["keys"][entry.key] = std::move(value);
    }
    out["tensors"] = Json::array();
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        out["tensors"].push_back({{"name", tensor.name},
                                  {"shape", tensor.shape},
                                  {"format", type_name(tensor.gguf_type)},
                                  {"readable", tensor.format.has_value()},
                                  {"bytes", tensor.bytes},
                                  {"offset_bytes", tensor.offset_bytes},
                                  {"part", tensor.part}});
    }
    return json_text(out, 2);
}

}  // namespace atlas::tools
