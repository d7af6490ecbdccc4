#include "tools/calibrate.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "runtime/base/atomic_file.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/small_file.h"
#include "runtime/base/units.h"
#include "runtime/ops/dry_ops.h"
#include "runtime/vk/caps.h"
#include "tools/messages.h"

namespace atlas::tools {

namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr double kMostMs = 500;  // of each of the three measurements
constexpr uint32_t kLayers = 16, kWidth = 256, kHeads = 4, kHeadDim = 64;

double ms_of(const Clock::time_point& start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The best of as many runs as fit in the time, at least one after a warm-up run. The best, because other programs can
// only add time.
Result<double> best_ms(Backend& backend, const std::function<void(Ops&)>& pass) {
    DryOps counted;
    pass(counted);
    ATLAS_TRY_VOID(backend.reserve_scratch(counted.counts().scratch_peak_bytes));
    ATLAS_TRY(auto program, backend.record("calibration", pass));
    ATLAS_TRY_VOID(backend.run(*program));
    double best = 1e30;
    const auto start = Clock::now();
    for (int run = 0; run < 1 || (run < 200 && ms_of(start) < kMostMs); ++run) {
        const auto before = Clock::now();
        ATLAS_TRY_VOID(backend.run(*program));
        best = std::min(best, ms_of(before));
    }
    return best;
}

// Zeros: every format reads them as small numbers, and no device multiplies zeros faster.
struct Matrices {
    std::vector<std::unique_ptr<Storage>> storages;
    Result<Tensor> make(Backend& backend, Format format, uint32_t rows, uint32_t cols) {
        ATLAS_TRY(auto storage, backend.allocate(MemoryUse::kv, rows * bytes_of(format, cols), "calibration"));
        storages.push_back(std::move(storage));
        return dense(*storages.back(), format, rows, cols);
    }
};

Result<double> matvec_gbps(VkBackend& backend) {
    Matrices made;
    const uint32_t cols = 4096, rows = backend.is_software() ? 2048 : 32768;
    ATLAS_TRY(const Tensor w, made.make(backend, Format::q4_k, rows, cols));
    ATLAS_TRY(const Tensor x, made.make(backend, Format::f32, 1, cols));
    ATLAS_TRY(const Tensor y, made.make(backend, Format::f32, 1, rows));
    ATLAS_TRY(const double ms, best_ms(backend, [&](Ops& ops) { ops.matmul(w, x, y); }));
    return double(rows) * double(bytes_of(Format::q4_k, cols)) / (ms * 1e6);
}

Result<double> prefill_tflops(VkBackend& backend) {
    Matrices made;
    const uint32_t cols = 2048, rows = backend.is_software() ? 256 : 8192, tokens = backend.is_software() ? 64 : 512;
    ATLAS_TRY(const Tensor w, made.make(backend, Format::q4_k, rows, cols));
    ATLAS_TRY(const Tensor x, made.make(backend, Format::f32, tokens, cols));
    ATLAS_TRY(const Tensor y, made.make(backend, Format::f32, tokens, rows));
    ATLAS_TRY(const double ms, best_ms(backend, [&](Ops& ops) { ops.matmul(w, x, y); }));
    return 2.0 * rows * cols * tokens / (ms * 1e9);
}

// Layers with all operations of a dense decoder, so small that only their launches cost time.
Result<double> layer_ms(VkBackend& backend) {
    Matrices made;
    ATLAS_TRY(const Tensor w, made.make(backend, Format::q8_0, kWidth, kWidth));
    ATLAS_TRY(const Tensor gain, made.make(backend, Format::f32, 1, kWidth));
    ATLAS_TRY(const Tensor cache_k, made.make(backend, Format::f16, 32, kWidth));
    ATLAS_TRY(const Tensor cache_v, made.make(backend, Format::f16, 32, kWidth));
    ATLAS_TRY(auto numbers, backend.allocate(MemoryUse::step, 256, "calibration numbers"));
    const U32View zero{numbers.get(), 0, 1};
    const KvLayer cache{cache_k, cache_v, 32};
    AttentionTables tables;
    tables.positions = tables.seqs = tables.page_table = zero;
    tables.max_pages = 1;
    tables.max_kv_tokens = 32;
    AttentionParams attention;
    attention.n_head = attention.n_head_kv = kHeads;
    attention.head_dim = kHeadDim;
    attention.scale = 1;
    RopeParams rope;
    rope.head_dim = rope.n_rot = kHeadDim;
    const auto pass = [&](Ops& ops) {
        const ScratchScope scope(ops);
        const Tensor x = ops.scratch(1, kWidth, "x"), h = ops.scratch(1, kWidth, "h"), q = ops.scratch(1, kWidth, "q");
        const Tensor k = ops.scratch(1, kWidth, "k"), v = ops.scratch(1, kWidth, "v");
        ops.rms_norm(gain, gain, 1e-5f, x);
        for (uint32_t il = 0; il < kLayers; ++il) {
            const std::array<MatmulTerm, 3> terms{{{w, {}, q}, {w, {}, k}, {w, {}, v}}};
            ops.matmul_group(terms, x);
            ops.rope_kv_write(q, k, v, rope, zero, {}, cache, zero);
            ops.attention(q, cache, tables, attention, h);
            ops.matmul(w, h, q);
            ops.add_rms_norm(x, q, gain, 1e-5f, x, h);
            ops.matmul_gated(Activation::silu, {w, {}, {}}, {w, {}, {}}, h, k);
            ops.matmul(w, k, q);
            ops.add_rms_norm(x, q, gain, 1e-5f, x, h);
        }
    };
    ATLAS_TRY(const double ms, best_ms(backend, pass));
    return ms / kLayers;
}

// A missing or damaged file counts as empty, because everything in it can be measured again.
Json read_all(const std::filesystem::path& file) {
    constexpr size_t kMostBytes = kMiB;
    const auto text = read_small_file(file, kMostBytes);
    if (!text && (file.empty() || text.error().code == ErrorCode::not_found)) return Json::object();
    Json all = text ? Json::parse(*text, nullptr, false) : Json();
    if (all.is_object()) return all;
    if (!text && only_unreadable(file, text.error())) {
        warning("{}; the device is measured again", text.error().message);
        return Json::object();
    }
    const auto moved = set_aside(file);
    warning("{}; the device is measured again{}",
            text ? in_quotes(file.string(), 400) + " is no JSON object" : text.error().message,
            moved ? "; the file is now " + in_quotes(moved->string(), 400) : "");
    return Json::object();
}

}  // namespace

std::string calibration_key(const vk::DeviceCaps& caps) { return fmt::format("{}; {}", caps.name, caps.driver_line()); }

std::optional<SpeedFactors> read_calibration(const std::filesystem::path& file, const std::string& key) {
    const Json all = read_all(file);
    const auto row = all.find(key);
    if (row == all.end() || !row->is_object()) return std::nullopt;
    const auto number = [&](const char* name) {
        return row->contains(name) && (*row)[name].is_number() ? (*row)[name].get<double>() : -1.0;
    };
    SpeedFactors factors;
    factors.bandwidth_gbps = number("matvec_gbps");
    factors.efficiency = 1;
    factors.ms_per_layer = number("ms_per_layer");
    factors.matrix_tflops = number("prefill_tflops");
    factors.prefill_share = 1;
    factors.calibrated = true;
    factors.source = "measured on this device";
    const bool sane = factors.bandwidth_gbps > 0 && factors.ms_per_layer >= 0 && factors.ms_per_layer < 1e3 &&
                      factors.matrix_tflops > 0;
    return sane ? std::optional(factors) : std::nullopt;
}

Result<SpeedFactors> calibrate(VkBackend& backend, const std::function<void(uint32_t done, uint32_t total)>& progress) {
    constexpr uint32_t kParts = 3;
    SpeedFactors factors;
    progress(0, kParts);
    ATLAS_TRY(factors.bandwidth_gbps, matvec_gbps(backend));
    progress(1, kParts);
    ATLAS_TRY(factors.ms_per_layer, layer_ms(backend));
    progress(2, kParts);
    ATLAS_TRY(factors.matrix_tflops, prefill_tflops(backend));
    factors.efficiency = factors.prefill_share = 1;
    factors.calibrated = true;
    factors.source = "measured on this device just now";
    return factors;
}

Result<void> keep_calibration(const std::filesystem::path& file, const std::string& key, const SpeedFactors& factors) {
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    Json all = read_all(file);
    all[key] = {{"matvec_gbps", factors.bandwidth_gbps * factors.efficiency},
                {"ms_per_layer", factors.ms_per_layer},
                {"prefill_tflops", factors.matrix_tflops * factors.prefill_share}};
    const std::string text = json_text(all, 2) + "\n";
    ATLAS_TRY(AtomicFile out, AtomicFile::create(file));
    ATLAS_TRY_VOID(out.write(text));
    return out.commit();
}

}  // namespace atlas::tools
