// get_rows in every format: this is also the test that the shaders unpack blocks as the CPU does.
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

class GetRows : public KernelTest {
  protected:
    void check(Format format, uint32_t n_rows, uint32_t cols, const std::vector<uint32_t>& ids, Placing placing = {}) {
        check(format, Layout::blocks, n_rows, cols, ids, placing);
        if (can_be_planar(format, cols, placing)) check(format, Layout::planar, n_rows, cols, ids, placing);
    }
    void check(Format format, Layout layout, uint32_t n_rows, uint32_t cols, const std::vector<uint32_t>& ids,
               Placing placing) {
        SCOPED_TRACE(
            fmt::format("{} {} [{}, {}], {} ids", info(format).name, name_of(layout), n_rows, cols, ids.size()));
        const auto n = static_cast<uint32_t>(ids.size());
        Twin table(backend(), format, n_rows, cols, placing, layout), list(backend(), Format::f32, 1, n, placing);
        Twin out(backend(), Format::f32, n, cols, placing);
        table.randomize(random_, -3, 3);
        list.integers(ids);
        run_both(backend(), {&table, &list, &out},
                 [&](Ops& ops, Side side) { ops.get_rows(table.on(side), list.ids(side), out.on(side)); });
        // Unpacking is a product of small integers and halves (exact in f32) and at most one rounded subtraction.
        out.expect_near([](uint32_t, uint32_t, double expected) { return 1e-6 * std::abs(expected); }, "out");
    }
};

TEST_F(GetRows, EveryFormat) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        const auto format = static_cast<Format>(f);
        for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) {
            std::vector<uint32_t> ids(n);
            for (uint32_t i = 0; i < n; ++i) ids[i] = (i * 5 + 2) % 13;
            check(format, 13, 512, ids);
        }
    }
}

TEST_F(GetRows, EveryBlockOffset) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        for (const uint32_t offset : {0u, 1u, 15u, 16u, 100u})
            check(static_cast<Format>(f), 3, 256, {2, 0, 1}, {offset, offset % 16 == 0 ? 16u : 1u});
    }
}

TEST_F(GetRows, OddRowLengthsOfUnblockedFormats) {
    for (const Format format : {Format::f32, Format::f16, Format::bf16}) {
        for (const uint32_t cols : {1u, 2u, 3u, 5u, 257u}) check(format, 4, cols, {3, 0, 2});
    }
}

TEST_F(GetRows, IdsPastTheTableReadRowZero) { check(Format::q4_0, 5, 64, {4, 5, 0xFFFFFFFFu, 1}); }

}  // namespace
}  // namespace atlas::test
