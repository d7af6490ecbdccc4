// matmul/matvec.comp on the kernels that a graphics card gets: every format and layout, 1 to 24 columns, with and
// without subgroups.
#include "runtime/kernels/ops/vk_ops.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

const std::string kShared = "matvec(", kSubgroup = "matvec_subgroup(", kOneRow = "matvec_subgroup(128, 8, 1, 1,";

class Matvec : public KernelTest {
  protected:
    void TearDown() override {
        for (const std::string& name : {kShared, kSubgroup, kOneRow}) expect_no_messages(forced_backend(name));
    }

    struct Case {
        Format format = Format::f32;
        Layout layout = Layout::blocks;
        uint32_t n_tokens = 1, n_out = 1, n_in = 1;
        Placing placing = {};
    };

    void check(VkBackend& vk, const Case& c) {
        const uint32_t n_in = whole_blocks(c.format, c.n_in);
        SCOPED_TRACE(fmt::format("{} {} [{}, {}], {} tokens", info(c.format).name, name_of(c.layout), c.n_out, n_in,
                                 c.n_tokens));
        Twin w(vk, c.format, c.n_out, n_in, c.placing, c.layout), x(vk, Format::f32, c.n_tokens, n_in, c.placing);
        Twin y(vk, Format::f32, c.n_tokens, c.n_out, c.placing);
        w.randomize(random_);
        x.randomize(random_);
        y.randomize(random_);
        run_both(vk, {&w, &x, &y}, [&](Ops& ops, Side side) { ops.matmul(w.on(side), x.on(side), y.on(side)); });
        // As in matmul_test.cpp: independent roundings of n products and additions.
        y.expect_near(
            [&](uint32_t t, uint32_t o, double) {
                return kUlp * (4 + std::sqrt(double(n_in))) * dot_magnitude(w.on(Side::host), o, x.on(Side::host), t);
            },
            "y");
    }

    static std::vector<Case> every_format(uint32_t n_tokens, uint32_t n_out, uint32_t n_in) {
        std::vector<Case> cases;
        for (size_t f = 0; f < kFormats.size(); ++f) {
            const auto format = static_cast<Format>(f);
            cases.push_back({format, Layout::blocks, n_tokens, n_out, n_in});
            if (has_planes(format)) cases.push_back({format, Layout::planar, n_tokens, n_out, n_in});
        }
        return cases;
    }
};

TEST_F(Matvec, EveryFormatAndLayout) {
    for (const Format format : {Format::q4_k, Format::q5_1, Format::bf16})
        check(forced_backend(kShared), {format, Layout::blocks, 1, 37, 544});
    // One row per lane: software devices take seconds to compile the long shaders of more.
    for (Case c : every_format(1, 9, 1088)) {
        c.placing = {17, 4};  // inside of a group; rows of activations not in whole 16 bytes
        if (info(c.format).block_elems == 1) c.placing = {32, 16};
        check(forced_backend(kOneRow), c);
    }
}

TEST_F(Matvec, EveryNumberOfColumns) {
    for (const uint32_t n : {1u, 2u, 3u, 7u, 8u, 9u, 13u, 16u, 23u, 24u}) {
        check(forced_backend(kSubgroup), {Format::q4_0, Layout::planar, n, 21, 352});
    }
    for (const uint32_t n : {1u, 3u, 9u}) check(forced_backend(kShared), {Format::q8_0, Layout::blocks, n, 5, 96});
    check(forced_backend(kSubgroup), {Format::q4_k, Layout::blocks, 3, 9, 2304});
}

TEST_F(Matvec, RowsThatNoRoundDivides) {
    for (const uint32_t n_in : {1u, 3u, 31u, 33u, 66u, 129u, 545u}) {
        check(forced_backend(kShared), {Format::f32, Layout::blocks, 3, 5, n_in});
        check(forced_backend(kSubgroup), {Format::f16, Layout::blocks, 2, 5, n_in});
    }
    for (const uint32_t n_in : {256u, 768u, 4352u})
        check(forced_backend(kOneRow), {Format::q4_k, Layout::blocks, 1, 5, n_in});
    for (const uint32_t n_out : {1u, 2u, 15u, 16u, 17u, 33u, 130u})
        check(forced_backend(kSubgroup), {Format::q8_0, Layout::planar, 2, n_out, 64});
}

TEST_F(Matvec, RandomShapes) {
    std::uniform_int_distribution<uint32_t> outs(1, 70), blocks(1, 40), offsets(0, 20);
    for (int i = 0; i < 12; ++i) {
        const Placing placing{offsets(random_), offsets(random_)};
        check(forced_backend(kSubgroup),
              {Format::q4_0, Layout::planar, 2, outs(random_), blocks(random_) * 32, placing});
        check(forced_backend(kShared), {Format::q8_0, Layout::blocks, 3, outs(random_), blocks(random_) * 32, placing});
    }
}

// Verify steps have any width: a token's result may not depend on the other tokens in its step.
TEST_F(Matvec, AColumnsBitsDoNotDependOnTheOthers) {
    constexpr uint32_t kMost = 24, kOut = 11;
    const auto check_widths = [&](VkBackend& vk, const Case& c, const std::vector<uint32_t>& widths) {
        Twin w(vk, c.format, kOut, c.n_in, {}, c.layout), x(vk, Format::f32, kMost, c.n_in),
            y(vk, Format::f32, kMost, kOut);
        w.randomize(random_);
        x.randomize(random_);
        const auto run = [&](uint32_t first, uint32_t n) {
            run_both(vk, {&w, &x, &y}, [&](Ops& ops, Side side) {
                ops.matmul(w.on(side), x.on(side).row_range(first, n), y.on(side).row_range(first, n));
            });
        };
        run(0, kMost);
        std::vector<std::vector<float>> whole;
        for (uint32_t t = 0; t < kMost; ++t) whole.push_back(y.device_row(t));
        for (const uint32_t n : widths) {
            SCOPED_TRACE(fmt::format("{}, {} of {} tokens", info(c.format).name, n, kMost));
            run(kMost - n, n);
            for (uint32_t t = kMost - n; t < kMost; ++t) EXPECT_EQ(y.device_row(t), whole[t]);
        }
    };
    check_widths(forced_backend(kSubgroup), {.format = Format::q4_0, .layout = Layout::planar, .n_in = 352},
                 {1, 2, 3, 4, 5, 8, 9, 15, 19, 23});
    check_widths(forced_backend(kShared), {.format = Format::f16, .n_in = 77}, {1, 2, 3});
}

// Bytes of weights that the planned dispatches of a product load: a workgroup reads each weight of its rows once,
// whatever its tokens.
uint64_t weight_bytes_loaded(uint32_t n_tokens, uint64_t max_binding_bytes) {
    VkOpsContext context;
    context.caps = backend(true).caps();
    context.caps.type = vk::DeviceType::discrete;
    context.quirks = vk::quirks_for(context.caps);
    context.max_binding_bytes = max_binding_bytes;
    context.max_groups = context.caps.max_workgroup_count;
    const auto tensor = [](Storage& storage, Format format, uint32_t rows, uint32_t cols, Layout layout) {
        return dense(storage, format, rows, cols, 0, layout);
    };
    constexpr uint32_t kOut = 640, kIn = 5120;
    VkStorage w(nullptr, "w", {.bytes = stored_bytes(Format::q6_k, Layout::planar, uint64_t{kOut} * kIn)});
    VkStorage x(nullptr, "x", {.bytes = uint64_t{n_tokens} * kIn * 4}),
        y(nullptr, "y", {.bytes = uint64_t{n_tokens} * kOut * 4});
    DispatchPlan plan;
    VkOps ops(context, plan);
    ops.matmul(tensor(w, Format::q6_k, kOut, kIn, Layout::planar),
               tensor(x, Format::f32, n_tokens, kIn, Layout::blocks),
               tensor(y, Format::f32, n_tokens, kOut, Layout::blocks));
    EXPECT_FALSE(plan.error);
    uint64_t bytes = 0;
    for (const PlannedDispatch& dispatch : plan.dispatches) {
        // Dispatches that prepare activations have no weights; here there are none.
        bytes += dispatch.bindings.at(0).range.bytes * dispatch.groups[1] * dispatch.groups[2];
    }
    return bytes;
}

TEST_F(Matvec, LoadsTheSameBytesOfWeightsForOneColumnAndTwentyFour) {
    constexpr uint64_t kWhole = uint64_t{640} * 20 * 210;
    for (const uint64_t limit : {uint64_t{1} << 30, uint64_t{600} * 1024}) {
        const uint64_t one = weight_bytes_loaded(1, limit);
        EXPECT_GE(one, kWhole);
        EXPECT_LE(one, kWhole * 11 / 10) << "parts of a matrix overlap by a group or two";
        for (uint32_t n_tokens = 2; n_tokens <= 24; ++n_tokens)
            EXPECT_EQ(weight_bytes_loaded(n_tokens, limit), one) << n_tokens;
    }
}

}  // namespace
}  // namespace atlas::test
