// Caches of rotated heads: rope, matrices or the Hadamard matrix, and rounding with feedback, in one dispatch and one
// after the other.
#include <numeric>

#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

KvFormats formats_of(Format k, Format v, bool rotate_k, bool rotate_v) {
    KvFormats formats(k, v);
    formats.rotate_k = rotate_k;
    formats.rotate_v = rotate_v;
    return formats;
}

struct Case {
    KvFormats formats;
    uint32_t n_tokens = 3, n_head = 4, n_head_kv = 2, head_dim = 64, v_head_dim = 64, n_rot = 64;
    bool matrices = true, fused = true, factors = false;
    bool shift = false;  // without matrices: of keys
    RopeParams::Pairing pairing = RopeParams::Pairing::adjacent;
};

class RotatedKvWrite : public KernelTest {
  protected:
    static constexpr Placing kDense{.offset_blocks = 3, .pad_blocks = 0};  // rows of matrices follow each other
    static constexpr uint32_t kSlots = 40;

    struct Run {
        Run(VkBackend& vk, const Case& c)
            : q(vk, Format::f32, c.n_tokens, c.n_head * c.head_dim),
              k(vk, Format::f32, c.n_tokens, c.n_head_kv * c.head_dim),
              v(vk, Format::f32, c.n_tokens, c.n_head_kv * c.v_head_dim),
              slots(vk, Format::f32, 1, c.n_tokens),
              positions(vk, Format::f32, 1, c.n_tokens),
              factors(vk, Format::f32, 1, c.n_rot / 2),
              shift(vk, Format::f32, 1, c.n_head_kv * c.head_dim),
              turn_k(vk, Format::f32, c.n_head_kv * c.head_dim, c.head_dim, kDense),
              turn_q(vk, Format::f32, c.n_head_kv * c.head_dim, c.head_dim, kDense),
              feedback(vk, Format::f32, c.n_head_kv * c.head_dim, c.head_dim, kDense),
              turn_v(vk, Format::f32, c.n_head_kv * c.v_head_dim, c.v_head_dim, kDense),
              v_feedback(vk, Format::f32, c.n_head_kv * c.v_head_dim, c.v_head_dim, kDense),
              k_cache(vk, c.formats.k, kSlots, c.n_head_kv * c.head_dim),
              v_cache(vk, c.formats.v, kSlots, c.n_head_kv * c.v_head_dim) {}
        std::vector<Twin*> all() {
            return {&q,      &k,      &v,        &slots,  &positions,  &factors, &shift,
                    &turn_k, &turn_q, &feedback, &turn_v, &v_feedback, &k_cache, &v_cache};
        }
        KvLayer layer(Side side, const Case& c) const {
            KvLayer made{k_cache.on(side), v_cache.on(side), 10, c.formats.rotate_k, c.formats.rotate_v, {}, {}};
            if (c.shift) made.fitted_k.shift = shift.on(side);
            if (!c.matrices) return made;
            made.fitted_k = {turn_k.on(side), shift.on(side), turn_q.on(side), feedback.on(side)};
            made.fitted_v = {turn_v.on(side), {}, turn_v.on(side), v_feedback.on(side)};
            return made;
        }
        Twin q, k, v, slots, positions, factors, shift, turn_k, turn_q, feedback, turn_v, v_feedback;
        CacheTwin k_cache, v_cache;
        std::vector<uint32_t> at;
    };

    void fill(Run& run, const Case& c) {
        for (Twin* twin : {&run.q, &run.k, &run.v, &run.shift, &run.turn_k, &run.turn_q, &run.turn_v})
            twin->randomize(random_);
        run.factors.randomize(random_, 1, 8);
        for (CacheTwin* cache : {&run.k_cache, &run.v_cache}) cache->fill([](uint32_t r, uint32_t) { return r + 1.0; });
        std::uniform_real_distribution<float> any(-0.4f, 0.4f);
        run.feedback.fill([&](uint32_t r, uint32_t col) { return col < r % c.head_dim ? any(random_) : 0.0f; });
        run.v_feedback.fill([&](uint32_t r, uint32_t col) { return col < r % c.v_head_dim ? any(random_) : 0.0f; });
        run.at.resize(kSlots);
        std::iota(run.at.begin(), run.at.end(), 0u);
        std::shuffle(run.at.begin(), run.at.end(), random_);
        run.at.resize(c.n_tokens);
        run.slots.integers(run.at);
        std::vector<uint32_t> where(c.n_tokens);
        for (uint32_t t = 0; t < c.n_tokens; ++t) where[t] = 50 + 7 * t;
        run.positions.integers(where);
    }

    void run_case(Run& run, const Case& c, VkBackend& vk) {
        const RopeParams rope{.pairing = c.pairing, .head_dim = c.head_dim, .n_rot = c.n_rot};
        run_both(vk, run.all(), [&](Ops& ops, Side side) {
            const Tensor q = run.q.on(side), k = run.k.on(side), v = run.v.on(side),
                         factors = c.factors ? run.factors.on(side) : Tensor{};
            const KvLayer layer = run.layer(side, c);
            if (c.fused)
                ops.rope_kv_write(q, k, v, rope, run.positions.ids(side), factors, layer, run.slots.ids(side));
            else
                ops.Ops::rope_kv_write(q, k, v, rope, run.positions.ids(side), factors, layer, run.slots.ids(side));
        });
    }

    static bool written(const Run& run, uint32_t row) {
        return std::find(run.at.begin(), run.at.end(), row) != run.at.end();
    }

    // Float caches: every number. Rope is right to about 1e-6 of values of at most 1.42 (times 4 for factors), and a
    // head of them is summed.
    void check_floats(const Case& c) {
        SCOPED_TRACE(fmt::format("{}:{} {} tokens, {}/{} heads of {}/{}, rot {}{}{}", info(c.formats.k).name,
                                 info(c.formats.v).name, c.n_tokens, c.n_head, c.n_head_kv, c.head_dim, c.v_head_dim,
                                 c.n_rot,
                                 c.matrices ? " matrices"
                                 : c.shift  ? " shift"
                                            : "",
                                 c.fused ? " fused" : ""));
        for (const bool tuned_for_gpu : {false, true}) check_floats_on(backend(tuned_for_gpu), c);
    }
    void check_floats_on(VkBackend& vk, const Case& c) {
        Run run(vk, c);
        fill(run, c);
        run_case(run, c, vk);
        const double rope = c.factors ? 1e-4 : 3e-6, close = (c.formats.rotate_k ? c.head_dim : 1) * rope;
        const auto rounding = [](Format format, double e) {
            return format == Format::f32 ? 0.0 : std::abs(e) * (format == Format::f16 ? 0x1p-10 : 0x1p-7) + 0x1p-24;
        };
        run.q.expect_near([&](uint32_t, uint32_t, double) { return close; }, "q");
        run.k_cache.expect_near(
            [&](uint32_t r, uint32_t, double e) { return written(run, r) ? close + rounding(c.formats.k, e) : 0.0; },
            "K");
        run.v_cache.expect_near(
            [&](uint32_t r, uint32_t, double e) { return written(run, r) ? 2e-5 + rounding(c.formats.v, e) : 0.0; },
            "V");
    }

    // The squared rounding error of the keys in `run`, with feedback: sum over elements of (e_i + sum_j F_ij e_j)^2; e
    // from x, rotated keys.
    static double missed(const Run& run, const Case& c, const std::vector<std::vector<float>>& x,
                         const std::function<std::vector<float>(uint32_t)>& row_of) {
        double sum = 0;
        const Tensor feedback = run.feedback.on(Side::host);
        for (uint32_t t = 0; t < c.n_tokens; ++t) {
            const auto found = row_of(run.at[t]);
            for (uint32_t first = 0; first < found.size(); first += c.head_dim) {
                for (uint32_t i = 0; i < c.head_dim; ++i) {
                    const auto factors = read_row(feedback, first + i);
                    double left = double{x[t][first + i]} - found[first + i];
                    for (uint32_t j = 0; j < i; ++j)
                        left += double{factors[j]} * (double{x[t][first + j]} - found[first + j]);
                    sum += left * left;
                }
            }
        }
        return sum;
    }
};

TEST_F(RotatedKvWrite, FloatCaches) {
    const KvFormats both = formats_of(Format::f32, Format::f32, true, true);
    for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) check_floats({.formats = both, .n_tokens = n});
    for (const bool matrices : {true, false}) {
        for (const bool fused : {true, false}) {
            check_floats({.formats = both, .matrices = matrices, .fused = fused});
            check_floats({.formats = both,
                          .n_head = 3,
                          .n_head_kv = 3,
                          .head_dim = 96,
                          .v_head_dim = 32,
                          .n_rot = 96,
                          .matrices = matrices,
                          .fused = fused});
            check_floats({.formats = both,
                          .n_head = 4,
                          .n_head_kv = 1,
                          .head_dim = 128,
                          .v_head_dim = 128,
                          .n_rot = 64,
                          .matrices = matrices,
                          .fused = fused,
                          .pairing = RopeParams::Pairing::halves});
        }
        check_floats({.formats = both,
                      .n_head = 2,
                      .n_head_kv = 2,
                      .head_dim = 256,
                      .v_head_dim = 256,
                      .n_rot = 256,
                      .matrices = matrices,
                      .factors = true});
        check_floats({.formats = both,
                      .head_dim = 40,
                      .v_head_dim = 40,
                      .n_rot = 40,
                      .matrices = matrices});  // not in one dispatch
    }
    for (const bool fused : {true, false}) {
        check_floats({.formats = both, .n_tokens = 9, .matrices = false, .fused = fused, .shift = true});
        check_floats({.formats = both,
                      .n_head = 4,
                      .n_head_kv = 2,
                      .head_dim = 96,
                      .v_head_dim = 32,
                      .n_rot = 96,
                      .matrices = false,
                      .fused = fused,
                      .shift = true});
        check_floats({.formats = both,
                      .head_dim = 40,
                      .v_head_dim = 40,
                      .n_rot = 40,
                      .matrices = false,
                      .fused = fused,
                      .shift = true});
        // Shifts of rotated keys only.
        check_floats({.formats = formats_of(Format::f32, Format::f32, false, true),
                      .matrices = false,
                      .fused = fused,
                      .shift = true});
    }
    check_floats({.formats = formats_of(Format::f16, Format::bf16, true, false)});
    check_floats({.formats = formats_of(Format::bf16, Format::f16, false, true), .matrices = false});
}

// Codes are those of the reference, to the last one, where the numbers to round are the same.
TEST_F(RotatedKvWrite, RoundsWithFeedbackAsTheReference) {
    for (const Format format : {Format::q8_0, Format::q5_1, Format::q5_0, Format::q4_1, Format::q4_0}) {
        for (const uint32_t dim : {32u, 64u, 128u}) {
            SCOPED_TRACE(fmt::format("{} heads of {}", info(format).name, dim));
            const Case c{.formats = formats_of(format, format, true, true),
                         .n_tokens = 9,
                         .head_dim = dim,
                         .v_head_dim = dim == 64 ? 32 : dim,
                         .n_rot = dim};
            VkBackend& vk = backend();
            Run run(vk, c);
            fill(run, c);
            run_both(vk, run.all(), [&](Ops& ops, Side side) {
                ops.kv_write(run.k.on(side), run.v.on(side), run.layer(side, c), run.slots.ids(side));
            });
            run.k_cache.expect_equal("K");
            run.v_cache.expect_equal("V");
        }
    }
}

// In one dispatch keys differ in their last places, and a tie may fall to the other side: then all after it differ. The
// total error does not.
TEST_F(RotatedKvWrite, FusedRoundingMissesNoMore) {
    for (const Format format : {Format::q8_0, Format::q5_1, Format::q5_0, Format::q4_1, Format::q4_0}) {
        SCOPED_TRACE(info(format).name);
        const Case c{.formats = formats_of(format, format, true, true), .n_tokens = 8};
        VkBackend& vk = backend();
        const Case floats{.formats = formats_of(Format::f32, Format::f32, true, true), .n_tokens = 8};
        Run exact(vk, floats), run(vk, c);
        random_.seed(5);
        fill(exact, floats);
        run_case(exact, floats, vk);
        random_.seed(5);
        fill(run, c);
        run_case(run, c, vk);
        std::vector<std::vector<float>> x;
        for (uint32_t t = 0; t < c.n_tokens; ++t) x.push_back(read_row(exact.k_cache.on(Side::host), exact.at[t]));
        const double reference = missed(run, c, x, [&](uint32_t r) { return read_row(run.k_cache.on(Side::host), r); });
        const double device = missed(run, c, x, [&](uint32_t r) { return run.k_cache.device_row(r); });
        EXPECT_GT(reference, 0);
        EXPECT_NEAR(device, reference, 0.02 * reference);
        // Without the feedback the same keys have a larger error.
        Run plain(vk, c);
        random_.seed(5);
        fill(plain, c);
        plain.feedback.fill([](uint32_t, uint32_t) { return 0.0; });
        run_case(plain, c, vk);
        const double without = missed(run, c, x, [&](uint32_t r) { return plain.k_cache.device_row(r); });
        EXPECT_LT(device, 0.7 * without);
    }
}

// By the Hadamard matrix: numbers that differ in their last places may give a block another scale that is as good; the
// total error is the same.
TEST_F(RotatedKvWrite, HadamardRoundsAsTheReference) {
    for (const bool tuned_for_gpu : {false, true}) {
        for (const Format format : {Format::q8_0, Format::q5_1, Format::q5_0, Format::q4_1, Format::q4_0}) {
            SCOPED_TRACE(info(format).name);
            VkBackend& vk = backend(tuned_for_gpu);
            const auto case_of = [](Format f) {
                return Case{.formats = formats_of(f, f, true, true),
                            .n_tokens = 9,
                            .n_head = 10,
                            .n_head_kv = 5,
                            .matrices = false};
            };
            Run exact(vk, case_of(Format::f32)), run(vk, case_of(format));
            random_.seed(5);
            fill(exact, case_of(Format::f32));
            run_case(exact, case_of(Format::f32), vk);
            random_.seed(5);
            fill(run, case_of(format));
            run_case(run, case_of(format), vk);
            double missed_by_device = 0, missed_by_reference = 0;
            for (const uint32_t r : run.at) {
                for (const bool keys : {true, false}) {
                    const auto& cache = keys ? run.k_cache : run.v_cache;
                    const auto x = read_row((keys ? exact.k_cache : exact.v_cache).on(Side::host), r);
                    const auto found = cache.device_row(r), expected = read_row(cache.on(Side::host), r);
                    ASSERT_EQ(found.size(), x.size());
                    for (size_t i = 0; i < x.size(); ++i) {
                        missed_by_device += (found[i] - x[i]) * double{found[i] - x[i]};
                        missed_by_reference += (expected[i] - x[i]) * double{expected[i] - x[i]};
                    }
                }
            }
            EXPECT_GT(missed_by_reference, 0);
            EXPECT_NEAR(missed_by_device, missed_by_reference, 0.01 * missed_by_reference);
        }
    }
}

TEST_F(RotatedKvWrite, ZerosAndSlotsOutsideAreNoTrouble) {
    const Case c{.formats = formats_of(Format::q4_0, Format::q4_1, true, true), .n_tokens = 2};
    VkBackend& vk = backend();
    Run run(vk, c);
    fill(run, c);
    for (Twin* twin : {&run.k, &run.v, &run.shift}) twin->fill([](uint32_t, uint32_t) { return 0.0; });
    run_case(run, c, vk);
    for (const uint32_t r : run.at) {
        for (const float x : run.k_cache.device_row(r)) EXPECT_EQ(x, 0);
        for (const float x : run.v_cache.device_row(r)) EXPECT_EQ(x, 0);
    }
}

TEST_F(RotatedKvWrite, IsOneDispatch) {
    for (const bool matrices : {true, false}) {
        const Case c{
            .formats = formats_of(Format::q4_0, Format::q4_0, true, true), .matrices = matrices, .shift = true};
        VkBackend& vk = backend();
        Run run(vk, c);
        const auto program = vk.record("count", [&](Ops& ops) {
            const Side side = Side::device;
            ops.rope_kv_write(run.q.on(side), run.k.on(side), run.v.on(side), {.head_dim = 64, .n_rot = 64},
                              run.positions.ids(side), {}, run.layer(side, c), run.slots.ids(side));
        });
        ASSERT_TRUE(program) << program.error().message;
        EXPECT_EQ(vk.size_of(**program).dispatches, 1u);
    }
}

}  // namespace
}  // namespace atlas::test
