// The oracle itself against values computed by hand, and DryOps against the scratch that RefOps really takes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "runtime/ops/dry_ops.h"
#include "tests/reference/ref_ops.h"

namespace atlas {
namespace {

Tensor filled(HostStorage& storage, uint32_t rows, uint32_t cols, const std::vector<float>& values) {
    std::memcpy(storage.data(), values.data(), values.size() * sizeof(float));
    return dense(storage, Format::f32, rows, cols);
}

TEST(RefOps, MatmulIsRowsTimesRows) {
    HostStorage ws("w", 64), xs("x", 64), ys("y", 64), scratch("s", 4096);
    const Tensor w = filled(ws, 2, 3, {1, 2, 3, 4, 5, 6});
    const Tensor x = filled(xs, 2, 3, {1, 0, -1, 2, 1, 0});
    const Tensor y = dense(ys, Format::f32, 2, 2);
    RefOps ops(scratch);
    ops.matmul(w, x, y);
    EXPECT_EQ(read_row(y, 0), (std::vector<float>{-2, -2}));
    EXPECT_EQ(read_row(y, 1), (std::vector<float>{4, 13}));
}

TEST(RefOps, RopeTurnsAdjacentPairsAndHalves) {
    HostStorage xs("x", 64), ps("p", 4), scratch("s", 64);
    const uint32_t position = 3;
    std::memcpy(ps.data(), &position, 4);
    const U32View positions{&ps, 0, 1};
    RopeParams params{.pairing = RopeParams::Pairing::adjacent, .head_dim = 4, .n_rot = 4, .rope_theta = 100.0f};
    RefOps ops(scratch);
    Tensor x = filled(xs, 1, 4, {1, 0, 0, 1});
    ops.rope(x, params, positions, {});
    auto row = read_row(x, 0);
    EXPECT_NEAR(row[0], std::cos(3.0), 1e-6);
    EXPECT_NEAR(row[1], std::sin(3.0), 1e-6);
    EXPECT_NEAR(row[2], -std::sin(0.3), 1e-6);
    EXPECT_NEAR(row[3], std::cos(0.3), 1e-6);
    params.pairing = RopeParams::Pairing::halves;
    x = filled(xs, 1, 4, {1, 0, 0, 1});
    ops.rope(x, params, positions, {});
    row = read_row(x, 0);
    EXPECT_NEAR(row[0], std::cos(3.0), 1e-6);
    EXPECT_NEAR(row[2], std::sin(3.0), 1e-6);
    EXPECT_NEAR(row[1], -std::sin(0.3), 1e-6);
    EXPECT_NEAR(row[3], std::cos(0.3), 1e-6);
}

TEST(RefOps, AttentionReadsThroughThePageTableAndStopsAtThePosition) {
    // Two pages of two tokens, stored in the wrong order; three keys visible; equal scores give the mean of the three
    // values.
    HostStorage ks("k", 4 * 8 * 4), vs("v", 4 * 8 * 4), qs("q", 32), ys("y", 32), ts("t", 64), scratch("s", 64);
    const Tensor k = dense(ks, Format::f32, 4, 8), v = dense(vs, Format::f32, 4, 8);
    for (uint32_t slot = 0; slot < 4; ++slot) {
        write_row(k, slot, std::vector<float>(8, 0.0f));
        write_row(v, slot, std::vector<float>(8, slot == 1 ? 1000.0f : float(slot)));
    }
    const std::vector<uint32_t> tables = {2, 0, 1, 0};  // position 2; seq 0; pages 1 then 0
    std::memcpy(ts.data(), tables.data(), 16);
    RefOps ops(scratch);
    const Tensor y = dense(ys, Format::f32, 1, 8);
    ops.attention(filled(qs, 1, 8, std::vector<float>(8, 1.0f)), {k, v, 2},
                  {{&ts, 0, 1}, {&ts, 4, 1}, {&ts, 8, 2}, 2, 4},
                  {.n_head = 1, .n_head_kv = 1, .head_dim = 8, .scale = 1.0f}, y);
    EXPECT_FLOAT_EQ(read_row(y, 0)[0], (2 + 3 + 0) / 3.0f);
}

TEST(DryOps, CountsTheScratchPeakAsRefOpsTakesIt) {
    HostStorage memory("scratch", 1 << 16);
    RefOps ref(memory);
    DryOps dry;
    for (Ops* ops : {static_cast<Ops*>(&ref), static_cast<Ops*>(&dry)}) {
        const ScratchScope outer(*ops);
        ops->scratch(3, 7, "a");
        {
            const ScratchScope inner(*ops);
            ops->scratch(100, 3, "b");
        }
        ops->scratch(1, 1, "c");
    }
    EXPECT_EQ(ref.scratch_peak_bytes(), 256u + 1280u);
    EXPECT_EQ(dry.counts().scratch_peak_bytes, ref.scratch_peak_bytes());
}

TEST(DryOps, CountsWeightsOnceAndFlopsPerToken) {
    Storage weights("w", 1 << 20);
    DryOps dry;
    const Tensor w = dense(weights, Format::q4_k, 16, 512);
    const Tensor x = dry.scratch(5, 512, "x"), y = dry.scratch(5, 16, "y");
    dry.matmul(w, x, y);
    EXPECT_EQ(dry.counts().weight_bytes_read, 16u * 2 * 144);
    EXPECT_EQ(dry.counts().flops, 2.0 * 16 * 512 * 5);
}

}  // namespace
}  // namespace atlas
