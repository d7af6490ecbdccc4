// How long submissions of attention over 128k keys really run on this machine's device, at limits scaled to its speed.
#include <algorithm>
#include <chrono>

#include "runtime/kernels/vk_backend.h"
#include "runtime/ops/dry_ops.h"
#include "runtime/ops/kv_layout.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

constexpr uint32_t kKeys = 131072, kPageTokens = 32;
constexpr AttentionParams kParams{.n_head = 8, .n_head_kv = 1, .head_dim = 64, .scale = 0.1f};
constexpr double kGigaflopOfAToken = 2e-9 * kKeys * kParams.n_head * 2 * kParams.head_dim;

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point then) {
    return std::chrono::duration<double, std::milli>(Clock::now() - then).count();
}

/// Attention of n tokens over all keys: K is zero and V is one, so that every result is one.
struct LongAttention {
    LongAttention(VkBackend& on, uint32_t tokens) : vk(on), n_tokens(tokens) {
        const uint32_t width = kParams.n_head * kParams.head_dim;
        const std::vector<uint16_t> ones(uint64_t{kKeys} * kParams.head_dim, 0x3C00), zeros(ones.size(), 0);
        std::vector<uint32_t> numbers(n_tokens, kKeys - 1);
        numbers.resize(2ull * n_tokens, 0);
        for (uint32_t page = 0; page < kKeys / kPageTokens; ++page) numbers.push_back(page);
        const std::vector<float> queries(uint64_t{n_tokens} * width, 0.5f);
        cache = {dense(take(std::as_bytes(std::span(zeros))), Format::f16, kKeys, kParams.head_dim),
                 dense(take(std::as_bytes(std::span(ones))), Format::f16, kKeys, kParams.head_dim), kPageTokens};
        Storage& table = take(std::as_bytes(std::span(numbers)));
        const auto view = [&](uint64_t first, uint32_t count) { return U32View{&table, first * 4, count}; };
        tables = {view(0, n_tokens), view(n_tokens, n_tokens), view(2ull * n_tokens, kKeys / kPageTokens),
                  kKeys / kPageTokens, kKeys};
        q = dense(take(std::as_bytes(std::span(queries))), Format::f32, n_tokens, width);
        y = dense(take(std::as_bytes(std::span(queries))), Format::f32, n_tokens, width);
    }

    Storage& take(std::span<const std::byte> bytes) {
        auto made = vk.allocate(MemoryUse::output, bytes.size(), "long attention");
        ATLAS_CHECK(made.has_value(), "{}", made.error().message);
        vk.write(**made, 0, bytes);
        return *storages.emplace_back(std::move(*made));
    }

    /// Runs it and returns how long each submission took, in order.
    std::vector<double> run() {
        const auto pass = [&](Ops& ops) { ops.attention(q, cache, tables, kParams, y); };
        DryOps counted;
        pass(counted);
        EXPECT_TRUE(vk.reserve_scratch(counted.counts().scratch_peak_bytes));
        const auto program = vk.record("long attention", pass);
        EXPECT_TRUE(program);
        const size_t n = vk.size_of(**program).submissions;
        std::vector<double> times;
        auto then = Clock::now();
        const auto last = vk.submit(**program);
        EXPECT_TRUE(last);
        for (size_t i = 0; i < n; ++i) {  // the queue counts submissions
            EXPECT_TRUE(vk.wait(*last - n + 1 + i));
            times.push_back(ms_since(then));
            then = Clock::now();
        }
        std::vector<float> found(uint64_t{n_tokens} * q.cols);
        vk.read(*y.storage, 0, std::as_writable_bytes(std::span(found)));
        for (const float value : found) {
            if (std::abs(value - 1) > 1e-3f) {
                ADD_FAILURE() << value;
                break;
            }
        }
        return times;
    }

    VkBackend& vk;
    uint32_t n_tokens;
    std::vector<std::unique_ptr<Storage>> storages;
    KvLayer cache;
    AttentionTables tables;
    Tensor q, y;
};

// The model of cost assumes the slowest card's rates and cuts at 100 ms, of which a submission may take 250 (watchdogs
// bite at 2000). Here the rate is what this device reached in this very run, and the limit is scaled down so that
// attention of one token must be cut several times.
TEST(SubmissionTime, AttentionOver128kKeysStaysWithinItsScaledLimit) {
    constexpr double kPromise = 2.5;  // times the limit
    const auto start = [](double gflops, double limit_ms) {
        VkBackendOptions options;
        options.rates = {gflops, 1000};
        options.submission_limit_ms = limit_ms;
        options.pipeline_cache = std::string(ATLAS_BINARY_DIR) + "/test_kernels_long.pipelines";
        auto made = make_vk_backend(options);
        ATLAS_CHECK(made.has_value(), "{}", made.error().message);
        return std::move(*made);
    };
    double gflops = 0;
    {
        const auto uncut = start(1e6, 1e6);
        LongAttention attention(*uncut, 1);
        attention.run();
        std::vector<double> times;
        for (int i = 0; i < 3; ++i) times.push_back(attention.run().front());
        std::sort(times.begin(), times.end());
        gflops = kGigaflopOfAToken / times[1] * 1e3;
        const double scale = 400 / gflops;  // to the rate that cards are cut by
        fmt::print("{}: {:.2f} GFLOP/s; a card's limit of 250 ms is {:.0f} ms of this device's work\n",
                   uncut->describe(), gflops, 250 * scale);
    }
    // One token, a verify step, and a prefill chunk at that depth.
    for (const uint32_t n_tokens : {1u, 8u, 33u}) {
        const double whole_ms = kGigaflopOfAToken / gflops * 1e3;
        const double limit_ms = whole_ms / 4;
        const auto vk = start(gflops, limit_ms);
        LongAttention attention(*vk, n_tokens);
        // Of each submission the shortest time counts: other programs use the processors too. Too much work would be
        // slow in every run.
        std::vector<double> times = attention.run();
        double longest = HUGE_VAL;
        for (int run = 0; run < 12 && (run < 2 || longest > kPromise * limit_ms); ++run) {
            const std::vector<double> again = attention.run();
            ASSERT_EQ(again.size(), times.size());
            for (size_t i = 0; i < times.size(); ++i) times[i] = std::min(times[i], again[i]);
            longest = *std::max_element(times.begin(), times.end());
        }
        fmt::print(
            "{} tokens over {} keys: {} submissions, the longest {:.2f} ms, limit {:.2f} ms, so {:.0f} ms where the "
            "limit is 100\n",
            n_tokens, kKeys, times.size(), longest, limit_ms, 100 * longest / limit_ms);
        EXPECT_GE(times.size(), 2u * n_tokens);
        EXPECT_LE(longest, kPromise * limit_ms);
    }
}

}  // namespace
}  // namespace atlas::test
