// Devices with small limits: work is cut by binding size, by workgroups per dispatch and by cost, and the results stay
// the same.
#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

VkBackendOptions small_options() {
    VkBackendOptions options;
    options.validation = true;
    return options;
}

class Limits : public ::testing::Test {
  protected:
    void start(const VkBackendOptions& options) {
        auto made = make_vk_backend(options);
        ASSERT_TRUE(made) << made.error().message;
        vk_ = std::move(*made);
    }
    void TearDown() override {
        for (const vk::ValidationMessage& message : vk_->take_validation_messages())
            ADD_FAILURE() << message.id << ": " << message.text;
    }
    VkBackend& gpu() { return *vk_; }
    size_t dispatches(const std::function<void(Ops&)>& pass) {
        auto program = vk_->record("count", pass);
        EXPECT_TRUE(program) << program.error().message;
        return vk_->size_of(**program).dispatches;
    }

    void check_matmul(Format format, uint32_t n_tokens, uint32_t n_out, uint32_t n_in, size_t at_least,
                      bool add = false, Layout layout = Layout::blocks) {
        Twin w(gpu(), format, n_out, n_in, {}, layout), x(gpu(), Format::f32, n_tokens, n_in),
            y(gpu(), Format::f32, n_tokens, n_out);
        Twin b(gpu(), Format::f32, 1, n_out);
        w.randomize(random_);
        x.randomize(random_);
        b.randomize(random_);
        const auto pass = [&](Ops& ops, Side side) {
            ops.matmul_add(w.on(side), x.on(side), add ? b.on(side) : Tensor{}, y.on(side));
        };
        run_both(gpu(), {&w, &x, &y, &b}, pass);
        y.expect_near(
            [&](uint32_t t, uint32_t o, double) {
                return kUlp * (4 + std::sqrt(double(n_in))) *
                       (dot_magnitude(w.on(Side::host), o, x.on(Side::host), t) + (add ? 1 : 0));
            },
            "y");
        EXPECT_GE(dispatches([&](Ops& ops) { pass(ops, Side::device); }), at_least);
    }
    /// One sequence, one KV head.
    void check_attention(uint32_t n_tokens, uint32_t n_keys, uint32_t n_head, uint32_t head_dim, size_t at_least) {
        const uint32_t n_pages = (n_keys + 15) / 16;
        CacheTwin k(gpu(), Format::f32, n_pages * 16, head_dim), v(gpu(), Format::f32, n_pages * 16, head_dim);
        Twin q(gpu(), Format::f32, n_tokens, n_head * head_dim), y(gpu(), Format::f32, n_tokens, n_head * head_dim);
        Twin positions(gpu(), Format::f32, 1, n_tokens), seqs(gpu(), Format::f32, 1, n_tokens),
            table(gpu(), Format::f32, 1, n_pages);
        for (Twin* twin : std::initializer_list<Twin*>{&k, &v, &q}) twin->randomize(random_);
        std::vector<uint32_t> at(n_tokens), pages(n_pages);
        for (uint32_t t = 0; t < n_tokens; ++t) at[t] = n_keys - n_tokens + t;
        for (uint32_t i = 0; i < n_pages; ++i) pages[i] = (i + n_pages - 1) % n_pages;
        positions.integers(at);
        seqs.integers(std::vector<uint32_t>(n_tokens, 0));
        table.integers(pages);
        const float scale = 1 / std::sqrt(float(head_dim));
        const auto pass = [&](Ops& ops, Side side) {
            ops.attention(q.on(side), {k.on(side), v.on(side), 16},
                          {positions.ids(side), seqs.ids(side), table.ids(side), n_pages, n_keys},
                          {n_head, 1, head_dim, scale}, y.on(side));
        };
        run_both(gpu(), {&k, &v, &q, &y, &positions, &seqs, &table}, pass);
        // As in attention_case.h, for scores of at most scale * head_dim.
        const double limit =
            2 * kUlp * ((4 + std::sqrt(double(head_dim))) * scale * head_dim + 16 + 2 * std::sqrt(double(n_keys)));
        y.expect_near([&](uint32_t, uint32_t, double) { return limit; }, "y");
        EXPECT_GE(dispatches([&](Ops& ops) { pass(ops, Side::device); }), at_least);
    }
    std::mt19937 random_{11};
    std::unique_ptr<VkBackend> vk_;
};

TEST_F(Limits, WeightsLargerThanABinding) {
    auto options = small_options();
    options.max_binding_bytes = 64 * 1024;
    start(options);
    check_matmul(Format::q6_k, 3, 700, 512, 5);  // 700 rows of 425 bytes with their gaps: 440 KiB
    check_matmul(Format::q4_0, 1, 333, 1024, 4);
    check_matmul(Format::q4_0, 9, 333, 1024, 4, true);  // the bias is cut along
    check_matmul(Format::q6_k, 3, 700, 512, 5, false, Layout::planar);
    check_matmul(Format::q4_0, 2, 333, 1024, 4, true, Layout::planar);  // parts that start inside of a group
    check_matmul(Format::f32, 40, 500, 32, 2);                          // y of 80 KiB is cut by tokens

    Twin table(gpu(), Format::q6_k, 700, 512), ids(gpu(), Format::f32, 1, 9), out(gpu(), Format::f32, 9, 512);
    table.randomize(random_);
    ids.integers({0, 699, 350, 100, 101, 698, 5, 700, 0xFFFFFFFFu});
    const auto pass = [&](Ops& ops, Side side) { ops.get_rows(table.on(side), ids.ids(side), out.on(side)); };
    run_both(gpu(), {&table, &ids, &out}, pass);
    out.expect_near([](uint32_t, uint32_t, double expected) { return 1e-6 * std::abs(expected); }, "out");
    EXPECT_GE(dispatches([&](Ops& ops) { pass(ops, Side::device); }), 5u);
}

TEST_F(Limits, ActivationsLargerThanABinding) {
    auto options = small_options();
    options.max_binding_bytes = 16 * 1024;
    start(options);
    constexpr uint32_t kRows = 33, kCols = 300;  // 40 KiB with the gaps
    Twin a(gpu(), Format::f32, kRows, kCols), b(gpu(), Format::f32, kRows, kCols), gain(gpu(), Format::f32, 1, kCols);
    Twin sum(gpu(), Format::f32, kRows, kCols), y(gpu(), Format::f32, kRows, kCols),
        z(gpu(), Format::f32, kRows, kCols);
    Twin positions(gpu(), Format::f32, 1, kRows);
    for (Twin* twin : {&a, &b, &gain}) twin->randomize(random_);
    std::vector<uint32_t> at(kRows);
    for (uint32_t t = 0; t < kRows; ++t) at[t] = t * 3;
    positions.integers(at);
    const RopeParams rope{.head_dim = 60, .n_rot = 60};
    const auto pass = [&](Ops& ops, Side side) {
        ops.add_rms_norm(a.on(side), b.on(side), gain.on(side), 1e-5f, sum.on(side), y.on(side));
        ops.add(y.on(side), gain.on(side), z.on(side));
        ops.rope(z.on(side), rope, positions.ids(side), Tensor{});
    };
    run_both(gpu(), {&a, &b, &gain, &sum, &y, &z, &positions}, pass);
    sum.expect_equal("sum");
    y.expect_near(
        [](uint32_t, uint32_t, double expected) { return kUlp * (std::sqrt(300.0) + 12) * std::abs(expected); }, "y");
    z.expect_near([](uint32_t, uint32_t, double) { return 1e-5; }, "z");
    EXPECT_GE(dispatches([&](Ops& ops) { pass(ops, Side::device); }), 9u);
}

TEST_F(Limits, FewWorkgroups) {
    auto options = small_options();
    options.max_groups = 5;
    start(options);
    check_matmul(Format::q8_0, 1, 300, 64, 7);
    check_matmul(Format::q8_0, 50, 40, 64, 2);
}

TEST_F(Limits, ExpensiveWorkIsCutIntoSubmissions) {
    auto options = small_options();
    options.rates = std::array<double, 2>{0.001, 1000.0};  // a megaflop a second
    options.submission_limit_ms = 100;
    start(options);
    check_matmul(Format::q8_0, 9, 256, 128, 5);  // 0.59 MFLOP: 590 ms
    Twin w(gpu(), Format::q8_0, 256, 128), x(gpu(), Format::f32, 9, 128), y(gpu(), Format::f32, 9, 256);
    const auto once = [&](Ops& ops) { ops.matmul(w.on(Side::device), x.on(Side::device), y.on(Side::device)); };
    EXPECT_GE(dispatches(once), 6u);
}

TEST_F(Limits, AttentionIsCutByCost) {
    auto options = small_options();
    options.rates = std::array<double, 2>{0.001, 1000.0};
    options.submission_limit_ms = 100;
    start(options);
    check_attention(9, 40, 2, 64, 2);  // 0.18 MFLOP: 184 ms
}

// One token's share of each of 8 splits is 256 ms: the steps have 24 and 9 tokens, whose keys go into 16 splits, in
// dispatches of 128 ms.
TEST_F(Limits, AttentionOfManyTokensToManyKeysIsAskedForFewAtATime) {
    auto options = small_options();
    options.rates = std::array<double, 2>{0.001, 1000.0};
    options.submission_limit_ms = 150;
    start(options);
    check_attention(33, 2000, 32, 8, 33 * 16);
}

TEST_F(Limits, WhatDoesNotFitIsAnErrorAndNoCrash) {
    auto options = small_options();
    options.max_binding_bytes = 4096;
    start(options);
    Twin k(gpu(), Format::f32, 64, 64), slots(gpu(), Format::f32, 1, 1), row(gpu(), Format::f32, 1, 64);
    auto cache = gpu().record("step", [&](Ops& ops) {
        ops.kv_write(row.on(Side::device), row.on(Side::device), {k.on(Side::device), k.on(Side::device), 16},
                     slots.ids(Side::device));
    });
    ASSERT_FALSE(cache);
    EXPECT_EQ(cache.error().code, ErrorCode::limit);
    EXPECT_NE(cache.error().message.find("64 positions does not fit"), std::string::npos) << cache.error().message;
}

TEST_F(Limits, UnfusedIsFused) {
    auto options = small_options();
    options.fused = false;
    start(options);
    check_matmul(Format::q4_0, 3, 37, 96, 2, true);  // a product and an addition
}

TEST_F(Limits, ScratchIsReusedAndKeptApart) {
    start(small_options());
    Twin x(gpu(), Format::f32, 5, 70), y(gpu(), Format::f32, 5, 70);
    x.randomize(random_);
    run_both(gpu(), {&x, &y}, [&](Ops& ops, Side side) {
        const ScratchScope outer(ops);
        const Tensor twice = ops.scratch(5, 70, "twice");
        ops.add(x.on(side), x.on(side), twice);
        for (int i = 0; i < 3; ++i) {
            const ScratchScope inner(ops);
            const Tensor thrice = ops.scratch(5, 70, "thrice");
            ops.add(twice, x.on(side), thrice);
            ops.add(thrice, twice, y.on(side));
        }
    });
    y.expect_near([](uint32_t, uint32_t, double expected) { return 4 * kUlp * std::abs(expected); }, "y");
}

TEST_F(Limits, AProgramRunsAgainWithNewStepData) {
    start(small_options());
    Twin table(gpu(), Format::q8_0, 20, 64), ids(gpu(), Format::f32, 1, 2), out(gpu(), Format::f32, 2, 64);
    table.randomize(random_);
    auto program = gpu().record(
        "step", [&](Ops& ops) { ops.get_rows(table.on(Side::device), ids.ids(Side::device), out.on(Side::device)); });
    ASSERT_TRUE(program);
    table.to_device();
    out.to_device();
    for (uint32_t first = 0; first < 19; ++first) {
        ids.integers({first, first + 1});
        ids.to_device();
        ASSERT_TRUE(gpu().run(**program));
        out.from_device();
        EXPECT_EQ(out.device_row(0), read_row(table.on(Side::host), first));
        EXPECT_EQ(out.device_row(1), read_row(table.on(Side::host), first + 1));
    }
}

}  // namespace
}  // namespace atlas::test
