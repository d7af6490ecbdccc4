#pragma once
// The flags that all commands that run a model share: which model, on which device, with which cache, and how it
// chooses its tokens.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/serve/generation.h"

namespace atlas::tools {

struct ModelFlags {
    std::string model;            // a stored name or a path
    bool pull = false;            // fetch it without asking if it is not stored
    std::string device;           // index, part of the name, or UUID; empty: the best
    uint32_t n_ctx = 0;           // 0: as much as fits comfortably (runtime/planner/context.h)
    std::string kv_type = "f16";  // or "q8_0:q4_0", keys and values apart
    std::string kv_rotation = "auto";
    std::optional<uint32_t> checkpoints = {};
    std::string memory_limit;  // "6G"; empty: what the driver's budget allows
    std::string keep_free;     // "1G" for others; empty: no more than the rule keeps
    bool validate = false;
};

void add_model_flags(CLI::App& command, ModelFlags& flags);

/// The formats with the rotation of --kv-rotation: auto, none, k, v or kv.
Result<KvFormats> kv_formats(std::string_view formats, std::string_view rotation);
/// The options --kv, also spelled --kv-type, and --kv-rotation.
void add_kv_flags(CLI::App& command, std::string& kv_type, std::string& rotation);
/// "--ctx 3 gives 32 tokens of context: ..."; empty where it gives what it says.
std::string rounded_context_text(uint32_t n_ctx);
/// The option --keep-free.
void add_keep_free_flag(CLI::App& command, std::string& keep_free);

struct SamplingFlags {
    SamplerOptions sampler;
    std::optional<uint64_t> seed;
    uint32_t max_tokens = 0;
    std::vector<std::string> stop_strings;
};

void add_sampling_flags(CLI::App& command, SamplingFlags& flags);
/// The options, with a seed from the system if none was given.
GenerateOptions generate_options(const SamplingFlags& flags);

/// How much is printed beside the answer.
struct ReportFlags {
    bool quiet = false;
    bool verbose = false;
};

/// -q,--quiet and -v,--verbose.
void add_report_flags(CLI::App& command, ReportFlags& flags);

}  // namespace atlas::tools
