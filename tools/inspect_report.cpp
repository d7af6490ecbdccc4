#include "tools/inspect_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>

#include "runtime/base/checked.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/gguf/part.h"

namespace atlas::tools {
namespace {

using gguf::File;
using gguf::KeyValue;
using gguf::TensorInfo;

struct OtherType {
    uint32_t gguf_type;
    std::string_view name;
};
// Tensor types of the GGUF specification that formats.def has no row for.
constexpr auto kOtherTypes = std::to_array<OtherType>({{9, "q8_1"},
                                                       {15, "q8_k"},
                                                       {16, "iq2_xxs"},
                                                       {17, "iq2_xs"},
                                                       {18, "iq3_xxs"},
                                                       {19, "iq1_s"},
                                                       {21, "iq3_s"},
                                                       {22, "iq2_s"},
                                                       {24, "i8"},
                                                       {25, "i16"},
                                                       {26, "i32"},
                                                       {27, "i64"},
                                                       {28, "f64"},
                                                       {29, "iq1_m"},
                                                       {34, "tq1_0"},
                                                       {35, "tq2_0"}});

using Facts = std::vector<std::pair<std::string, std::string>>;

/// A number of the architecture, "llama.block_count" for "block_count"; a per-layer array gives its range.
std::string number_of(const File& file, std::string_view architecture, std::string_view key) {
    const auto values = file.integers(fmt::format("{}.{}", architecture, key));
    if (!values || values->empty()) return "";
    const auto [least, most] = std::ranges::minmax(*values);
    return least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most);
}

void add_attention(const File& file, std::string_view architecture, Facts& facts) {
    const std::string heads = number_of(file, architecture, "attention.head_count");
    if (heads.empty()) return;
    std::string words = fmt::format("{} heads", heads);
    const std::string kv = number_of(file, architecture, "attention.head_count_kv");
    if (!kv.empty() && kv != heads) words += fmt::format(", {} of keys and values", kv);
    const std::string head_dim = number_of(file, architecture, "attention.key_length");
    const uint32_t width = file.u32_or(fmt::format("{}.embedding_length", architecture), 0);
    const uint32_t n_head = file.u32_or(fmt::format("{}.attention.head_count", architecture), 0);
    if (!head_dim.empty()) {
        words += fmt::format(", each {} wide", head_dim);
    } else if (n_head > 0 && width % n_head == 0 && width > 0) {
        words += fmt::format(", each {} wide", width / n_head);
    }
    const std::string window = number_of(file, architecture, "attention.sliding_window");
    if (!window.empty()) words += fmt::format(", sliding window of {}", window);
    facts.emplace_back("attention", words);
}

void add_experts(const File& file, std::string_view architecture, Facts& facts) {
    const std::string experts = number_of(file, architecture, "expert_count");
    if (experts.empty() || experts == "0") return;
    facts.emplace_back(
        "experts", fmt::format("{}, {} used per token", experts, number_of(file, architecture, "expert_used_count")));
}

void add_context(const File& file, std::string_view architecture, Facts& facts) {
    const std::string context = number_of(file, architecture, "context_length");
    if (context.empty()) return;
    std::string words = fmt::format("{} tokens", context);
    if (const auto theta = file.f32(fmt::format("{}.rope.freq_base", architecture)))
        words += fmt::format(", rope theta {}", *theta);
    const auto scaling = file.string_or(fmt::format("{}.rope.scaling.type", architecture), "");
    if (!scaling.empty() && scaling != "none") {
        words += fmt::format(", rope scaling {}", in_quotes(scaling));
        if (const auto factor = file.f32(fmt::format("{}.rope.scaling.factor", architecture)))
            words += fmt::format(" by {}", *factor);
    }
    facts.emplace_back("context", words);
}

std::string vocabulary_words(std::string_view model) {
    if (model == "gpt2") return "byte-level BPE";
    if (model == "llama") return "SentencePiece";
    if (model == "bert") return "WordPiece";
    if (model == "t5") return "unigram";
    return fmt::format("model {}", in_quotes(model));
}

void add_vocabulary(const File& file, Facts& facts) {
    const auto tokens = file.strings("tokenizer.ggml.tokens");
    if (!tokens) return;
    std::string words = fmt::format("{} tokens, {}", tokens->size(),
                                    vocabulary_words(file.string_or("tokenizer.ggml.model", "unnamed")));
    if (const auto pre = file.string("tokenizer.ggml.pre")) words += fmt::format(", pre-tokenizer {}", in_quotes(*pre));
    if (const auto merges = file.strings("tokenizer.ggml.merges")) words += fmt::format(", {} merges", merges->size());
    facts.emplace_back("vocabulary", words);
}

void add_model(const File& file, Facts& facts) {
    if (const auto name = file.string("general.name")) facts.emplace_back("name", in_quotes(*name, 200));
    const auto architecture = file.string_or("general.architecture", "");
    if (!architecture.empty()) {
        std::string words = printable(architecture);
        const std::string layers = number_of(file, architecture, "block_count");
        if (!layers.empty()) words += fmt::format(", {} layers", layers);
        const std::string width = number_of(file, architecture, "embedding_length");
        if (!width.empty()) words += fmt::format(", {} wide", width);
        const std::string feed_forward = number_of(file, architecture, "feed_forward_length");
        if (!feed_forward.empty()) words += fmt::format(", feed-forward {}", feed_forward);
        facts.emplace_back("architecture", words);
        add_attention(file, architecture, facts);
        add_experts(file, architecture, facts);
        add_context(file, architecture, facts);
    }
    add_vocabulary(file, facts);
    if (const auto text = file.string("tokenizer.chat_template")) {
        facts.emplace_back("chat template", fmt::format("{} bytes; --template prints it", text->size()));
    }
    for (const auto& [label, key] :
         {std::pair("license", "general.license"), std::pair("source", "general.source.url")}) {
        if (const auto text = file.string(key)) facts.emplace_back(label, in_quotes(*text, 200));
    }
}

template <class T>
std::string one_value(const T& value) {
    return fmt::format("{}", value);
}
std::string one_value(const std::string& value) { return in_quotes(value, 200); }

template <class T>
std::string one_value(const std::vector<T>& values) {
    constexpr size_t kShown = 6;
    std::string out = "[";
    for (size_t i = 0; i < std::min(values.size(), kShown); ++i) {
        if (i > 0) out += ", ";
        if constexpr (std::is_same_v<T, std::string>) {
            out += in_quotes(values[i], 24);
        } else {
            out += fmt::format("{}", static_cast<T>(values[i]));
        }
    }
    return values.size() > kShown ? out + fmt::format(", ... {} in all]", values.size()) : out + "]";
}

}  // namespace

std::string type_name(uint32_t gguf_type) {
    if (const auto format = format_from_gguf(gguf_type)) return std::string(info(*format).name);
    for (const OtherType& other : kOtherTypes) {
        if (other.gguf_type == gguf_type) return std::string(other.name);
    }
    return fmt::format("type {}", gguf_type);
}

uint64_t n_elems(const TensorInfo& tensor) {
    uint64_t elems = 1;
    for (const uint64_t dim : tensor.shape) elems *= dim;  // the reader has checked the product
    return elems;
}

std::string shape_text(const TensorInfo& tensor) { return fmt::format("[{}]", fmt::join(tensor.shape, ", ")); }

std::string value_text(const KeyValue& entry) {
    // As the f32 it is stored as: 1e-05, not 9.999999747378752e-06.
    const bool is_f32 = !entry.is_array && entry.type == static_cast<uint32_t>(gguf::ValueType::f32);
    if (const auto* number = std::get_if<double>(&entry.value); number && is_f32)
        return one_value(static_cast<float>(*number));
    return std::visit([](const auto& value) { return one_value(value); }, entry.value);
}

std::string value_type_text(const KeyValue& entry) {
    return fmt::format("{}{}", entry.is_array ? "array of " : "", gguf::value_type_name(entry.type));
}

InspectReport inspect_report(const File& file) {
    InspectReport report;
    add_model(file, report.facts);
    std::map<uint32_t, FormatShare> shares;
    uint64_t readable_elems = 0, readable_bytes = 0;
    for (const TensorInfo& tensor : file.tensors()) {
        FormatShare& share = shares[tensor.gguf_type];
        const uint64_t elems = n_elems(tensor);
        ++share.n_tensors;
        share.elems = checked_add(share.elems, elems).value_or(UINT64_MAX);
        share.bytes += tensor.bytes;  // they lie in the file side by side
        report.n_parameters = checked_add(report.n_parameters, elems).value_or(UINT64_MAX);
        if (tensor.format) readable_elems += elems, readable_bytes += tensor.bytes;
    }
    for (auto& [type, share] : shares) {
        share.format = type_name(type);
        share.readable = format_from_gguf(type).has_value();
        report.formats.push_back(share);
    }
    std::ranges::stable_sort(report.formats, std::greater<>(), &FormatShare::bytes);
    if (readable_elems > 0)
        report.bits_per_weight = 8.0 * static_cast<double>(readable_bytes) / static_cast<double>(readable_elems);
    if (file.tensors().empty()) {
        report.facts.emplace_back("parameters", "none: this file holds no tensors");
    } else {
        report.facts.emplace_back("parameters",
                                  fmt::format("{} in {} tensors, {:.2f} bits each", count_text(report.n_parameters),
                                              file.tensors().size(), report.bits_per_weight));
    }
    return report;
}

}  // namespace atlas::tools
