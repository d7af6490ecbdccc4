// Products on 8-bit activations: against sums over the same quantized activations, tightly, and against RefOps, within
// what the rounding of the activations allows.
#include <map>
#include <set>

#include "runtime/kernels/select/matmul_variant.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

/// A row of activations as push/quantize_x.h defines it.
struct QuantizedRow {
    std::vector<double> value;  // scale * code
    std::vector<double> step;   // the scale of the element's run
    std::vector<bool>
        doubtful;  // so near a tie that the device's division (2.5 units in the last place) may round to the other side
};

QuantizedRow quantize(const std::vector<float>& x) {
    QuantizedRow out;
    for (size_t run = 0; run < x.size() / 32; ++run) {
        float most = 0;
        for (size_t i = 0; i < 32; ++i) most = std::max(most, std::abs(x[run * 32 + i]));
        const bool silent = most < 0x1p-100f;
        const float to_code = silent ? 0.0f : 127.0f / most, scale = silent ? 0.0f : most * (1.0f / 127.0f);
        for (size_t i = 0; i < 32; ++i) {
            const double exact = double{x[run * 32 + i]} * to_code;
            out.value.push_back(double{scale} * std::nearbyint(exact));
            out.step.push_back(scale);
            out.doubtful.push_back(std::abs(std::abs(exact - std::floor(exact)) - 0.5) < 1e-4);
        }
    }
    return out;
}

bool has_dot_form(Format format) { return has_kernel(KernelFamily::matvec_dot, format); }

enum class Add { none, bias, residual };

class Dot : public KernelTest {
  protected:
    void SetUp() override {
        if (!backend().caps().integer_dot) GTEST_SKIP() << "this device or this build has no integer dot products";
    }
    void TearDown() override {
        for (VkBackend* vk : used_) expect_no_messages(*vk);
    }
    VkBackend& on(const std::string& variant) {
        used_.insert(&forced_backend(variant));
        return forced_backend(variant);
    }

    /// What may differ between two f32 sums of the same n_in / 32 scaled integers: every run is rounded a few times,
    /// every addition once. Relative to the sum of |terms|, where |scale * code| <= |w| + |low| and |low| is at most
    /// the largest weight of its run, because the quantizers give code 0 to the smallest weight of a run.
    static double tight_bound(const std::vector<float>& w, const QuantizedRow& x) {
        double magnitude = 0, ties = 0;
        for (size_t run = 0; run < w.size() / 32; ++run) {
            double largest = 0;
            for (size_t i = run * 32; i < run * 32 + 32; ++i) largest = std::max(largest, std::abs(double{w[i]}));
            for (size_t i = run * 32; i < run * 32 + 32; ++i) {
                magnitude += (std::abs(w[i]) + 2 * largest) * std::abs(x.value[i]);
                if (x.doubtful[i]) ties += std::abs(w[i]) * x.step[i];
            }
        }
        return kUlp * (8 + std::sqrt(double(w.size()) / 32)) * magnitude + ties;
    }

    void check(const std::string& variant, Format format, uint32_t n_tokens, uint32_t n_out, uint32_t n_in,
               Add add = Add::none, Placing placing = {}) {
        // Tiles are offered from 9 tokens on, mat-vecs up to 24.
        if (variant.starts_with("matmul") && n_tokens < 9) n_tokens += 8;
        SCOPED_TRACE(fmt::format("{} {} [{}, {}], {} tokens, add {}", variant, info(format).name, n_out, n_in, n_tokens,
                                 int(add)));
        VkBackend& vk = on(variant);
        n_in = whole_blocks(format, n_in);
        Twin w(vk, format, n_out, n_in, placing), x(vk, Format::f32, n_tokens, n_in, placing),
            y(vk, Format::f32, n_tokens, n_out, placing);
        Twin b(vk, Format::f32, add == Add::bias ? 1 : n_tokens, n_out, placing);
        w.randomize(random_);
        x.randomize(random_);
        b.randomize(random_);
        run_both(vk, {&w, &x, &y, &b}, [&](Ops& ops, Side side) {
            if (add == Add::none) return ops.matmul(w.on(side), x.on(side), y.on(side));
            ops.matmul_add(w.on(side), x.on(side), b.on(side), y.on(side));
        });
        std::vector<std::vector<float>> w_rows;
        for (uint32_t o = 0; o < n_out; ++o) w_rows.push_back(read_row(w.on(Side::host), o));
        double rounded = 0;  // the most that the quantization of x moves a result, in units of what f32 may
        int shown = 0;
        for (uint32_t t = 0; t < n_tokens; ++t) {
            const QuantizedRow q = quantize(read_row(x.on(Side::host), t));
            const auto found = y.device_row(t), exact = read_row(y.on(Side::host), t);
            const auto added = read_row(b.on(Side::host), add == Add::residual ? t : 0);
            for (uint32_t o = 0; o < n_out; ++o) {
                double expected = add == Add::none ? 0.0 : double{added[o]};
                for (uint32_t i = 0; i < n_in; ++i) expected += w_rows[o][i] * q.value[i];
                const double limit = tight_bound(w_rows[o], q) + kUlp * 2 * std::abs(expected);
                rounded = std::max(rounded, std::abs(expected - exact[o]) / limit);
                if (std::abs(found[o] - expected) <= limit || ++shown > 5) continue;
                ADD_FAILURE() << "y [" << t << ", " << o << "]: " << found[o] << ", expected " << expected << " (exact "
                              << exact[o] << "), limit " << limit;
            }
        }
        EXPECT_LE(shown, 5) << shown << " values differ";
        // If not, an exact kernel ran, and nothing was tested.
        EXPECT_GT(rounded, 1.0);
        expect_within_rounding(w_rows, x, y);
    }

    /// Every activation is at most half a step away from its code.
    void expect_within_rounding(const std::vector<std::vector<float>>& w_rows, const Twin& x, Twin& y) {
        std::vector<QuantizedRow> q;
        for (uint32_t t = 0; t < x.on(Side::host).rows; ++t) q.push_back(quantize(read_row(x.on(Side::host), t)));
        y.expect_near(
            [&](uint32_t t, uint32_t o, double exact) {
                double bound = tight_bound(w_rows[o], q[t]) + kUlp * 2 * std::abs(exact);
                for (size_t i = 0; i < w_rows[o].size(); ++i) bound += std::abs(w_rows[o][i]) * q[t].step[i] * 0.5001;
                return bound;
            },
            "y against exact activations");
    }

    std::set<VkBackend*> used_;
};

std::vector<MatmulVariant> offered_tiles(const MatmulShape& shape) {
    vk::DeviceCaps caps = backend().caps();
    caps.type = vk::DeviceType::discrete;
    std::vector<MatmulVariant> offered;
    offer_matmul_dot(caps, shape, offered);
    offer_matmul_coopmat_s8(caps, shape, offered);
    return offered;
}

bool has_byte_matrices() {
    std::vector<MatmulVariant> offered;
    offer_matmul_coopmat_s8(backend().caps(), {Format::q4_0, 64, 64, 64}, offered);
    return !offered.empty();
}

std::vector<std::string> families() {
    std::vector<std::string> names = {"matvec_dot", "matmul_dot"};
    if (has_byte_matrices()) names.push_back("matmul_coopmat_s8");
    return names;
}

std::vector<Format> dot_formats() {
    std::vector<Format> formats;
    for (size_t f = 0; f < kFormats.size(); ++f) {
        if (has_dot_form(static_cast<Format>(f))) formats.push_back(static_cast<Format>(f));
    }
    return formats;
}

TEST_F(Dot, EveryBlockFormatHasADotForm) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        EXPECT_EQ(has_dot_form(static_cast<Format>(f)), kFormats[f].block_elems > 1) << kFormats[f].name;
    }
}

// A diagonal matrix returns scale * code of every activation, times what the format made of 1.
TEST_F(Dot, QuantizedActivationsAreWhatTheHeaderSays) {
    VkBackend& vk = on("matvec_dot");
    constexpr uint32_t kCols = 96, kTokens = 7;
    Twin w(vk, Format::q4_0, kCols, kCols), x(vk, Format::f32, kTokens, kCols), y(vk, Format::f32, kTokens, kCols);
    w.fill([](uint32_t r, uint32_t c) { return r == c ? 1.0f : 0.0f; });
    std::normal_distribution<float> values;
    const std::array<float, kTokens> size = {1.0f, 1e-6f, 1e6f, 1e-20f, 0.0f, 1e-32f, 1e30f};
    x.fill([&](uint32_t t, uint32_t c) { return c < 32 || t != 2 ? values(random_) * size[t] : 0.0f; });
    run_both(vk, {&w, &x, &y}, [&](Ops& ops, Side side) { ops.matmul(w.on(side), x.on(side), y.on(side)); });
    const double one = read_row(w.on(Side::host), 0)[0];
    for (uint32_t t = 0; t < kTokens; ++t) {
        const QuantizedRow q = quantize(read_row(x.on(Side::host), t));
        const auto found = y.device_row(t);
        for (uint32_t i = 0; i < kCols; ++i) {
            EXPECT_NEAR(found[i], one * q.value[i],
                        std::abs(q.value[i]) * 4 * kUlp + (q.doubtful[i] ? q.step[i] * 1.001 : 0.0))
                << t << ", " << i;
        }
    }
}

TEST_F(Dot, TiesGoToEvenAndTheLargestIs127) {
    VkBackend& vk = on("matvec_dot");
    Twin w(vk, Format::q4_0, 32, 32), x(vk, Format::f32, 1, 32), y(vk, Format::f32, 1, 32);
    w.fill([](uint32_t r, uint32_t c) { return r == c ? 1.0f : 0.0f; });
    // The scale is 1, and 127 / 127 is exact wherever division is anything near right.
    x.fill([](uint32_t, uint32_t c) { return c == 0 ? -127.0f : float(c) - 15.5f; });
    run_both(vk, {&w, &x, &y}, [&](Ops& ops, Side side) { ops.matmul(w.on(side), x.on(side), y.on(side)); });
    const auto found = y.device_row(0);
    const float one = read_row(w.on(Side::host), 0)[0];
    EXPECT_NEAR(found[0] / one, -127.0f, 1e-4);
    for (uint32_t c = 1; c < 32; ++c) EXPECT_NEAR(found[c] / one, std::nearbyint(float(c) - 15.5f), 1e-4) << c;
}

TEST_F(Dot, EveryFormatOneToken) {
    for (const std::string& family : families()) {
        for (const Format format : dot_formats()) check(family, format, 1, 37, 544);
    }
}

TEST_F(Dot, EveryFormatManyTokens) {
    for (const std::string& family : families()) {
        for (const Format format : dot_formats()) check(family, format, 5, 67, 320);
    }
}

TEST_F(Dot, EveryTokenCount) {
    for (const std::string& family : families()) {
        for (const uint32_t n : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 12u, 13u, 16u, 17u, 24u})
            check(family, Format::q4_k, n, 19, 512);
    }
}

TEST_F(Dot, OddRowCountsAndShortRows) {
    for (const std::string& family : families()) {
        for (const uint32_t n_out : {1u, 2u, 7u, 8u, 9u, 63u, 65u, 130u}) check(family, Format::q8_0, 3, n_out, 32);
        check(family, Format::q5_1, 3, 5, 96);
    }
}

TEST_F(Dot, LongRows) {
    for (const std::string& family : families()) check(family, Format::q4_0, 2, 9, 8192);
}

TEST_F(Dot, SumsThroughSubgroupsAndThroughSharedMemory) {
    for (const std::string variant : {"matvec_dot(64, 8, 4, 1)", "matvec_dot(64, 32, 4, 0)"}) {
        const bool there = backend().caps().subgroup_size == 8;
        if (there) check(variant, Format::q6_k, 4, 21, 2048);
    }
}

TEST_F(Dot, MatricesOfBytes) {
    if (!has_byte_matrices())
        GTEST_SKIP() << "no cooperative matrices of signed bytes here: matmul_coopmat_s8 is not tested";
    for (const Format format : dot_formats()) check("matmul_coopmat_s8", format, 20, 67, 320);
    for (const uint32_t n : {9u, 31u, 33u, 65u, 97u, 130u}) check("matmul_coopmat_s8", Format::q4_0, n, 19, 96);
}

TEST_F(Dot, EveryTile) {
    const std::vector<MatmulVariant> offered = offered_tiles({Format::q4_0, 130, 352, 133});
    ASSERT_GE(offered.size(), 5u);
    for (const MatmulVariant& variant : offered) {
        check(variant.name(), Format::q4_0, 133, 131, 352);  // an odd number of runs
    }
    check(offered[4].name(), Format::q2_k, 33, 65, 256);
}

TEST_F(Dot, DenseAtTheStartAndAtEveryOffsetOfABlock) {
    for (const std::string& family : families()) {
        check(family, Format::q6_k, 4, 40, 512, Add::none, {0, 0});
        for (const uint32_t offset : {1u, 2u, 7u, 8u, 63u, 129u})
            check(family, Format::q6_k, 2, 5, 256, Add::none, {offset, 1});
    }
}

TEST_F(Dot, AddsABiasOrAResidual) {
    for (const std::string& family : families()) {
        for (const Add add : {Add::bias, Add::residual}) {
            for (const uint32_t n : {1u, 2u, 9u}) check(family, Format::q4_0, n, 37, 96, add);
        }
    }
}

// How many dispatches a pass has, after its results were compared.
class DotOnce : public Dot {
  protected:
    size_t dispatches(VkBackend& vk, const std::function<void(Ops&, Side)>& pass) {
        auto program = vk.record("count", [&](Ops& ops) { pass(ops, Side::device); });
        EXPECT_TRUE(program);
        return vk.size_of(**program).dispatches;
    }
};

TEST_F(DotOnce, ConsecutiveProductsOfTheSameActivationsQuantizeThemOnce) {
    VkBackend& vk = on("matvec_dot");
    Twin a(vk, Format::q4_0, 9, 64), b(vk, Format::q8_0, 7, 64), x(vk, Format::f32, 3, 64),
        more(vk, Format::f32, 3, 64);
    Twin y(vk, Format::f32, 3, 9), z(vk, Format::f32, 3, 7), y2(vk, Format::f32, 3, 9);
    for (Twin* twin : {&a, &b, &x, &more}) twin->randomize(random_);
    const auto twice = [&](Ops& ops, Side side) {
        ops.matmul(a.on(side), x.on(side), y.on(side));
        ops.matmul(b.on(side), x.on(side), z.on(side));
    };
    const auto written_between = [&](Ops& ops, Side side) {
        twice(ops, side);
        ops.add(x.on(side), more.on(side), x.on(side));
        ops.matmul(a.on(side), x.on(side), y2.on(side));
    };
    const auto other_rows = [&](Ops& ops, Side side) {
        ops.matmul(a.on(side), x.on(side).row_range(0, 2), y.on(side).row_range(0, 2));
        ops.matmul(a.on(side), x.on(side).row_range(1, 2), y.on(side).row_range(1, 2));
    };
    const auto scratch_between = [&](Ops& ops, Side side) {
        ops.matmul(a.on(side), x.on(side), y.on(side));
        const ScratchScope scope(ops);
        const Tensor over = ops.scratch(3, 64, "over");  // lies where the codes were
        ops.add(x.on(side), more.on(side), over);
        ops.matmul(a.on(side), x.on(side), y2.on(side));
    };
    run_both(vk, {&a, &b, &x, &more, &y, &z, &y2}, written_between);
    const auto near_exact = [&](Twin& w, Twin& found) {
        found.expect_near([&](uint32_t t, uint32_t o,
                              double) { return dot_magnitude(w.on(Side::host), o, x.on(Side::host), t) * 0.02 + 0.02; },
                          "y");
    };
    near_exact(a, y2);
    EXPECT_EQ(dispatches(vk, twice), 3u);
    EXPECT_EQ(dispatches(vk, written_between), 6u);
    EXPECT_EQ(dispatches(vk, other_rows), 4u);
    EXPECT_EQ(dispatches(vk, scratch_between), 5u);
}

}  // namespace
}  // namespace atlas::test
