#pragma once
// Measures a loaded model: prompts, answers, verify and batch widths, and its matrix products one by one.

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "runtime/session/single/session.h"

namespace atlas::bench {

struct BenchOptions {
    std::vector<uint32_t> prefill{512};
    std::vector<uint32_t> decode{128};
    std::vector<uint32_t> depths{0};
    std::vector<uint32_t> verify{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 20, 24};  // columns of one sequence
    std::vector<uint32_t> batch{1, 2, 4, 8, 16};                              // sequences with one token each
    std::vector<uint32_t> kernel_tokens{1, 8, 512};
    uint32_t repetitions = 5;
    KvFormats kv;
    std::stop_token stop;
    std::function<void(const std::string& what)> progress;  // what comes next
};

/// Tokens per second at a depth.
struct SpeedRow {
    uint32_t n_tokens = 0;
    uint32_t depth = 0;
    std::vector<double> samples;
};

/// Milliseconds of a step.
struct WidthRow {
    uint32_t width = 0;
    uint32_t depth = 0;
    std::vector<double> samples;
};

struct KernelRow {
    std::string name;     // "q4_k [4096, 4096] x 1"
    std::string variant;  // "matvec(64, 32, 1)"
    double gb_per_s = 0;  // of weights
    double tflop_per_s = 0;
    double share_of_limit = 0;  // of measured bandwidth or peak, whichever is the nearer limit; 0: unknown
};

/// Device time of one kernel in a step; see step_profile.h.
struct ProfileRow {
    uint32_t columns = 0;  // tokens of the step
    uint32_t depth = 0;    // tokens before them
    std::string label;     // part of the model and kernel: "ffn: matvec_q4_k(64, 4)"
    uint32_t dispatches = 0;
    double ms = 0;  // device time of all of them, median of the repetitions
};

struct BenchResult {
    std::string device, driver, model, quantization, commit, version;
    std::string kv_type;  // "f16" or "q8_0:f16"
    uint64_t weights_bytes = 0;
    uint32_t context = 0;  // tokens the session holds
    std::string depth_filled_by;
    std::string decoded_by;  // who chose the tokens of answers
    DeviceLimits limits;
    bool checked = false;  // variants of products and attention were compared with the CPU before their first use
    std::vector<std::string> rejected;  // kernel variants that gave wrong numbers on this device and were not used
    bool cancelled = false;             // stopped early: only what was measured until then is there
    std::vector<SpeedRow> prefill, decode;
    std::vector<WidthRow> verify, batch;
    std::vector<KernelRow> kernels;
    std::vector<ProfileRow> profile;
};

/// The most tokens that the options need in a session.
uint32_t context_for(const BenchOptions& options);

/// Adds prefill, decode, verify, batch and kernels to the result. Stops when asked to; a measurement that
/// was not finished is left out. Fails: as
/// Session and Backend.
Result<void> measure_model(std::shared_ptr<const Model> model, const BenchOptions& options, BenchResult& result);

/// Only the matrix products of the model, each shape once per width of options.kernel_tokens.
Result<void> measure_kernels(const Model& model, const BenchOptions& options, BenchResult& result);

}  // namespace atlas::bench
