// matmul and matmul_add in every format, at token counts and sizes that no tile divides, in strided views.
#include "runtime/kernels/select/select.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

enum class Add { none, bias, residual, residual_in_place };

class Matmul : public KernelTest {
  protected:
    // The exact kernels. Those that round their operands have tests of their own: coopmat_test.cpp, dot_test.cpp.
    void SetUp() override { backend(true).choices().forced = "matmul("; }
    void TearDown() override {
        backend(true).choices() = {};
        KernelTest::TearDown();
    }
    /// Error of a sum of n products in f32, relative to the sum of their magnitudes: each addition rounds by half a
    /// unit in the last place, and independent roundings add up like a random walk. The constant 4 covers the products,
    /// the last additions and b.
    static double relative_bound(uint32_t n) { return kUlp * (4 + std::sqrt(double(n))); }

    void check(VkBackend& vk, Format format, uint32_t n_tokens, uint32_t n_out, uint32_t n_in, Add add = Add::none,
               Placing placing = {}, Layout layout = Layout::blocks) {
        SCOPED_TRACE(fmt::format("{} {} [{}, {}], {} tokens, add {}", info(format).name, name_of(layout), n_out, n_in,
                                 n_tokens, int(add)));
        n_in = whole_blocks(format, n_in);
        Twin w(vk, format, n_out, n_in, placing, layout), x(vk, Format::f32, n_tokens, n_in, placing),
            y(vk, Format::f32, n_tokens, n_out, placing);
        Twin b(vk, Format::f32, add == Add::bias ? 1 : n_tokens, n_out, placing);
        w.randomize(random_);
        x.randomize(random_);
        b.randomize(random_);
        y.randomize(random_);
        const Twin& added = add == Add::residual_in_place ? y : b;
        std::vector<std::vector<float>> b_rows;
        for (uint32_t t = 0; t < n_tokens; ++t)
            b_rows.push_back(read_row(added.on(Side::host), add == Add::bias ? 0 : t));
        run_both(vk, {&w, &x, &y, &b}, [&](Ops& ops, Side side) {
            if (add == Add::none) return ops.matmul(w.on(side), x.on(side), y.on(side));
            ops.matmul_add(w.on(side), x.on(side), added.on(side), y.on(side));
        });
        y.expect_near(
            [&](uint32_t t, uint32_t o, double) {
                const double magnitude = dot_magnitude(w.on(Side::host), o, x.on(Side::host), t);
                return relative_bound(n_in) * (magnitude + (add == Add::none ? 0.0 : std::abs(b_rows[t][o])));
            },
            "y");
    }
};

TEST_F(Matmul, EveryFormatOneToken) {
    for (const bool gpu : {false, true}) {
        for (size_t f = 0; f < kFormats.size(); ++f) check(backend(gpu), static_cast<Format>(f), 1, 37, 544);
    }
}

TEST_F(Matmul, EveryFormatManyTokens) {
    for (size_t f = 0; f < kFormats.size(); ++f) check(backend(true), static_cast<Format>(f), 33, 67, 320);
    // Here the software device's kernel is the one for one token with more sums; a format of each block size will do.
    for (const Format format : {Format::f16, Format::q4_1, Format::q6_k}) check(backend(), format, 33, 67, 320);
}

TEST_F(Matmul, EveryPlanarFormat) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        const auto format = static_cast<Format>(f);
        if (!has_planes(format) || info(format).block_elems == 1) continue;
        for (const bool gpu : {false, true}) {
            check(backend(gpu), format, 1, 37, 544, Add::none, {}, Layout::planar);
            check(backend(gpu), format, 1, 9, 4640, Add::none, {17, 1},
                  Layout::planar);  // rows and views that start inside of a group
        }
    }
    check(backend(true), Format::q6_k, 33, 67, 320, Add::none, {}, Layout::planar);
    check(backend(), Format::q6_k, 3, 67, 320, Add::none, {}, Layout::planar);
}

// Enough rows that Mesa 26's software device gives an invocation eight of them, the last of which are past the end.
TEST_F(Matmul, ManyRowsOfPlanarFormats) {
    if (!compiles_to_gathers(backend().caps()))
        GTEST_SKIP() << "this device's mat-vec has one size for any number of rows";
    for (const Format format :
         {Format::f16, Format::bf16, Format::q4_0, Format::q4_1, Format::q5_0, Format::q8_0, Format::mxfp4}) {
        for (const uint32_t n : {1u, 9u}) check(backend(), format, n, 1037, 64, Add::none, {16, 0}, Layout::planar);
    }
}

TEST_F(Matmul, EveryTokenCount) {
    for (const uint32_t n : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 32u, 33u, 65u}) {
        check(backend(), Format::q4_k, n, 19, 256);
        if (n == 1 || n > 24) check(backend(true), Format::f32, n, 19, 256);  // others: matvec_test.cpp
    }
}

TEST_F(Matmul, OddRowLengthsOfUnblockedFormats) {
    for (const bool gpu : {false, true}) {
        for (const Format format : {Format::f32, Format::f16, Format::bf16}) {
            for (const uint32_t n_in : {1u, 3u, 31u, 33u, 66u, 129u}) {
                check(backend(gpu), format, 1, 5, n_in);
                check(backend(gpu), format, 9, 5, n_in);
            }
        }
    }
}

TEST_F(Matmul, OddRowCounts) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n_out : {1u, 2u, 7u, 8u, 9u, 63u, 64u, 65u, 130u}) {
            check(backend(gpu), Format::q8_0, 1, n_out, 64);
            check(backend(gpu), Format::q8_0, 9, n_out, 64);
        }
    }
}

TEST_F(Matmul, LongRows) {
    for (const bool gpu : {false, true}) check(backend(gpu), Format::q4_0, 2, 9, 8192);
}

TEST_F(Matmul, DenseAtTheStart) {
    for (const bool gpu : {false, true}) check(backend(gpu), Format::q6_k, 9, 40, 512, Add::none, {0, 0});
}

TEST_F(Matmul, EveryOffsetOfABlockThatNoAlignmentDivides) {
    // 210-byte blocks against descriptor alignments of 16 to 256 bytes: the case where an offset in the wrong unit
    // shows.
    for (const uint32_t offset : {1u, 2u, 7u, 8u, 63u, 129u})
        check(backend(), Format::q6_k, 2, 5, 256, Add::none, {offset, 1});
}

TEST_F(Matmul, AddsABiasOrAResidual) {
    for (const bool gpu : {false, true}) {
        for (const Add add : {Add::bias, Add::residual, Add::residual_in_place}) {
            for (const uint32_t n : {1u, 2u, 9u, 33u}) check(backend(gpu), Format::q4_0, n, 37, 96, add);
        }
    }
}

TEST_F(Matmul, AddOfNothingIsMatmul) {
    Twin w(backend(), Format::f16, 9, 40), x(backend(), Format::f32, 3, 40), y(backend(), Format::f32, 3, 9),
        plain(backend(), Format::f32, 3, 9);
    w.randomize(random_);
    x.randomize(random_);
    run_both(backend(), {&w, &x, &y, &plain}, [&](Ops& ops, Side side) {
        ops.matmul_add(w.on(side), x.on(side), Tensor{}, y.on(side));
        ops.matmul(w.on(side), x.on(side), plain.on(side));
    });
    for (uint32_t t = 0; t < 3; ++t) EXPECT_EQ(y.device_row(t), plain.device_row(t));
}

TEST_F(Matmul, ColumnViewOfWeights) {
    // w is a column range of a wider matrix: its row stride is larger than its rows.
    Twin whole(backend(), Format::q4_1, 11, 256), x(backend(), Format::f32, 2, 96), y(backend(), Format::f32, 2, 11);
    whole.randomize(random_);
    x.randomize(random_);
    run_both(backend(), {&whole, &x, &y},
             [&](Ops& ops, Side side) { ops.matmul(whole.on(side).col_range(64, 96), x.on(side), y.on(side)); });
    y.expect_near(
        [&](uint32_t t, uint32_t o, double) {
            return relative_bound(96) * dot_magnitude(whole.on(Side::host).col_range(64, 96), o, x.on(Side::host), t);
        },
        "y");
}

}  // namespace
}  // namespace atlas::test
