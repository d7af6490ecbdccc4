// route, experts_up and experts_down.
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

using Gating = RoutingParams::Gating;

class Experts : public KernelTest {
  protected:
    void TearDown() override {
        KernelTest::TearDown();
        for (const char* name : kForced) expect_no_messages(forced_backend(name));
    }
    static constexpr const char* kForced[] = {"experts_tiles(", "experts_subgroup("};

    // Logits in a random order whose differences are far above any rounding.
    void spread_logits(Twin& logits, uint32_t n_experts) {
        std::vector<float> steps(n_experts);
        for (uint32_t e = 0; e < n_experts; ++e) steps[e] = 6.0f * float(e) / float(n_experts) - 3;
        logits.fill([&](uint32_t, uint32_t e) {
            if (e == 0) std::shuffle(steps.begin(), steps.end(), random_);
            return steps[e];
        });
    }

    void check_route(VkBackend& vk, uint32_t n_tokens, uint32_t n_experts, const RoutingParams& params, bool bias) {
        SCOPED_TRACE(fmt::format("gating {}, {} of {} experts, {} of {} groups, {} tokens", int(params.gating),
                                 params.n_used, n_experts, params.n_groups_used, params.n_groups, n_tokens));
        Twin logits(vk, Format::f32, n_tokens, n_experts), b(vk, Format::f32, 1, n_experts),
            routes(vk, Format::f32, n_tokens, 2 * params.n_used);
        spread_logits(logits, n_experts);
        b.fill([](uint32_t, uint32_t e) { return e % 7 == 3 ? 0.25f : 0.0f; });
        run_both(vk, {&logits, &b, &routes}, [&](Ops& ops, Side side) {
            ops.route(logits.on(side), bias ? b.on(side) : Tensor{}, params, routes.on(side));
        });
        // exp may be off by 3 + 2|x| units in the last place, |x| <= 6; sums of up to 512 of them
        const auto bound = [&](uint32_t, uint32_t c, double expected) {
            return c < params.n_used ? 0.0 : 64 * kUlp * std::abs(expected);
        };
        routes.expect_near(bound, "routes");
    }
};

TEST_F(Experts, RouteOfEveryGating) {
    for (const bool gpu : {false, true}) {
        for (const Gating gating : {Gating::softmax, Gating::sigmoid, Gating::softmax_of_used, Gating::sqrt_softplus}) {
            for (const bool normalized : {false, true}) {
                check_route(backend(gpu), 5, 60, {gating, 4, 1, 1, normalized, 1.5f}, false);
                check_route(backend(gpu), 3, 128, {gating, 8, 1, 1, normalized, 1.0f}, true);
            }
        }
    }
}

TEST_F(Experts, RouteAtTheEdges) {
    VkBackend& vk = backend(true);
    check_route(vk, 1, 1, {Gating::softmax, 1}, false);
    check_route(vk, 2, 3, {Gating::softmax, 3}, false);
    check_route(vk, 33, 512, {Gating::softmax, 10, 1, 1, true}, false);
    check_route(vk, 2, 257, {Gating::sigmoid, 32}, true);
    check_route(vk, 7, 64, {Gating::sigmoid, 6, 8, 4, true, 2.5f}, true);
    check_route(vk, 7, 12, {Gating::sigmoid, 2, 12, 3, true}, false);  // groups of one
}

TEST_F(Experts, OfEqualLogitsTheFirstAreChosenAndANanChoosesNoExpertTwice) {
    VkBackend& vk = backend(true);
    Twin logits(vk, Format::f32, 3, 16), routes(vk, Format::f32, 3, 8);
    logits.fill([](uint32_t t, uint32_t e) { return t == 0 ? 1.0f : t == 1 ? float(e / 4 % 2) : 0.0f; });
    run_both(vk, {&logits, &routes}, [&](Ops& ops, Side side) {
        ops.route(logits.on(side), {}, {Gating::softmax, 4}, routes.on(side));
    });
    routes.expect_near([](uint32_t, uint32_t c, double e) { return c < 4 ? 0.0 : 16 * kUlp * e; }, "routes");

    logits.fill([](uint32_t t, uint32_t e) { return e == t ? std::nanf("") : float(e); });
    logits.to_device();
    const auto pass = [&](Ops& ops) {
        ops.route(logits.on(Side::device), {}, {Gating::sigmoid, 4}, routes.on(Side::device));
    };
    auto program = vk.record("test", pass);
    ASSERT_TRUE(program);
    ASSERT_TRUE(vk.run(**program));
    routes.from_device();
    for (uint32_t t = 0; t < 3; ++t)
        for (uint32_t j = 0; j < 4; ++j) EXPECT_EQ(routes.device_row(t)[j], float(15 - j));
}

struct Case {
    Format format = Format::f32;
    Layout layout = Layout::blocks;
    uint32_t n_tokens = 1, n_experts = 4, n_used = 2, n_in = 64, n_ff = 32;
    Activation activation = Activation::silu;
    bool gate = true, biases = false, merged = false;
    Placing placing = {};
};

// All operands of both products.
class Block {
  public:
    Block(VkBackend& vk, const Case& c, std::mt19937& random)
        : case_(c),
          n_in_(whole_blocks(c.format, c.n_in)),
          n_ff_(whole_blocks(c.format, c.n_ff)),
          gate_up_(vk, c.format, 2 * c.n_experts * n_ff_, n_in_, c.placing, c.layout),
          down_(vk, c.format, c.n_experts * n_in_, n_ff_, c.placing, c.layout),
          gate_b_(vk, Format::f32, c.n_experts, n_ff_),
          up_b_(vk, Format::f32, c.n_experts, n_ff_),
          down_b_(vk, Format::f32, c.n_experts, n_in_),
          scale_(vk, Format::f32, 1, c.n_experts),
          x_(vk, Format::f32, c.n_tokens, n_in_),
          routes_(vk, Format::f32, c.n_tokens, 2 * c.n_used),
          y_(vk, Format::f32, c.n_tokens * c.n_used, n_ff_),
          given_(vk, Format::f32, c.n_tokens * c.n_used, n_ff_),
          z_(vk, Format::f32, c.n_tokens, n_in_) {
        for (Twin* twin : all()) twin->randomize(random);
        route(random);
    }

    std::vector<Twin*> all() {
        return {&gate_up_, &down_, &gate_b_, &up_b_, &down_b_, &scale_, &x_, &routes_, &y_, &given_, &z_};
    }

    // Different experts for each token. All tokens use expert 1; no token uses the last one of many.
    void route(std::mt19937& random) {
        const uint32_t n = case_.n_experts > case_.n_used + 1 ? case_.n_experts - 1 : case_.n_experts;
        std::vector<uint32_t> order(n);
        routes_.fill([&](uint32_t t, uint32_t c) {
            if (c >= case_.n_used) return 0.1f + 0.01f * float(c) + 0.001f * float(t % 50);
            if (c == 0) {
                for (uint32_t e = 0; e < n; ++e) order[e] = e;
                std::shuffle(order.begin(), order.end(), random);
                const uint32_t common = std::min(1u, n - 1), j = t % case_.n_used;
                std::swap(order[j], *std::find(order.begin(), order.end(), common));
            }
            return float(order[c]);
        });
    }

    void run(Ops& ops, Side side) const { run_first(ops, side, case_.n_tokens); }

    // Of the first tokens alone.
    void run_first(Ops& ops, Side side, uint32_t n_tokens) const {
        const uint32_t choices = n_tokens * case_.n_used;
        const Tensor b = case_.biases ? gate_b_.on(side) : Tensor{}, s = case_.biases ? scale_.on(side) : Tensor{};
        ExpertMatrices gate{gate_up_.on(side), b, {}, n_ff_, 0, 2 * n_ff_};
        ExpertMatrices up{gate.w, case_.biases ? up_b_.on(side) : Tensor{}, s, n_ff_, n_ff_, 2 * n_ff_};
        if (!case_.merged) {
            const uint32_t rows = case_.n_experts * n_ff_;
            up.w = gate.w.row_range(rows, rows);
            gate.w = gate.w.row_range(0, rows);
            gate.stride = up.stride = n_ff_;
            up.first = 0;
        }
        const ExpertMatrices down{down_.on(side), case_.biases ? down_b_.on(side) : Tensor{}, s, n_in_, 0, n_in_};
        const Tensor routes = routes_.on(side).row_range(0, n_tokens);
        ops.experts_up(case_.activation, case_.gate ? gate : ExpertMatrices{}, up, x_.on(side).row_range(0, n_tokens),
                       routes, y_.on(side).row_range(0, choices));
        ops.experts_down(down, given_.on(side).row_range(0, choices), routes, z_.on(side).row_range(0, n_tokens));
    }

    // Sums of n products of numbers up to 1, whose magnitudes add up to n / 4 in the mean; a gate's slope is below 2,
    // and its factor is as large as the other sum.
    void check() {
        const double up_error = kUlp * (4 + std::sqrt(double(n_in_))) * n_in_ / 3,
                     down_error = kUlp * (4 + std::sqrt(double(n_ff_) * case_.n_used)) * n_ff_ / 3;
        const double largest =
            case_.gate || case_.activation == Activation::relu_squared ? 4 * std::sqrt(double(n_in_)) + 4 : 2;
        y_.expect_near([&](uint32_t, uint32_t, double e) { return largest * up_error + 64 * kUlp * std::abs(e); }, "y");
        z_.expect_near([&](uint32_t, uint32_t, double e) { return down_error + 16 * kUlp * std::abs(e); }, "z");
    }

    const Twin& y() const { return y_; }
    const Twin& z() const { return z_; }

  private:
    Case case_;
    uint32_t n_in_, n_ff_;
    Twin gate_up_, down_, gate_b_, up_b_, down_b_, scale_, x_, routes_, y_, given_, z_;
};

void check(VkBackend& vk, const Case& c, std::mt19937& random) {
    SCOPED_TRACE(fmt::format("{} {}, {} tokens, {} of {} experts, {} x {}, gate {} biases {} merged {} activation {}",
                             info(c.format).name, name_of(c.layout), c.n_tokens, c.n_used, c.n_experts, c.n_in, c.n_ff,
                             c.gate, c.biases, c.merged, int(c.activation)));
    Block block(vk, c, random);
    run_both(vk, block.all(), [&](Ops& ops, Side side) { block.run(ops, side); });
    block.check();
}

TEST_F(Experts, NumbersOfTokensAndExperts) {
    for (const char* name : kForced) {
        for (const uint32_t n_tokens : {1u, 2u, 24u, 25u, 70u})
            check(forced_backend(name), {.n_tokens = n_tokens, .n_experts = 7, .n_used = 3, .n_in = 36, .n_ff = 20},
                  random_);
        check(forced_backend(name), {.n_tokens = 5, .n_experts = 3, .n_used = 1}, random_);
        check(forced_backend(name), {.n_tokens = 30, .n_experts = 5, .n_used = 5, .n_in = 33, .n_ff = 67}, random_);
        check(forced_backend(name), {.n_tokens = 2, .n_experts = 1, .n_used = 1}, random_);
    }
    for (const uint32_t n_tokens : {1u, 24u, 25u})
        check(backend(), {.n_tokens = n_tokens, .n_experts = 7, .n_used = 3, .n_in = 36, .n_ff = 20}, random_);
}

// How a format is read is the same as in ordinary products, which matmul_test and matvec_test run in all layouts.
TEST_F(Experts, EveryFormat) {
    for (size_t f = 0; f < kFormats.size(); ++f) {
        const auto format = static_cast<Format>(f);
        Case c{.format = format, .n_tokens = 1, .n_experts = 3, .n_used = 2, .n_ff = 16};
        c.placing = {16, info(format).block_elems == 1 ? 16u : 1u};
        check(forced_backend("experts_tiles("), c, random_);
    }
    for (const Format format : {Format::f16, Format::q4_0, Format::mxfp4, Format::q4_k}) {
        const Layout layout = has_planes(format) ? Layout::planar : Layout::blocks;
        Case c{.format = format, .layout = layout, .n_tokens = 1, .n_experts = 3, .n_used = 2, .n_ff = 16};
        c.placing = {16, info(format).block_elems == 1 ? 16u : 1u};
        check(backend(), c, random_);
        check(forced_backend("experts_subgroup("), c, random_);
    }
}

TEST_F(Experts, ActivationsBiasesScalesAndMergedMatrices) {
    Case c{.n_tokens = 3, .n_experts = 5, .activation = Activation::silu_clamped, .biases = true, .merged = true};
    check(backend(), c, random_);
    for (const uint32_t n_tokens : {3u, 26u}) {
        c.n_tokens = n_tokens;
        c.gate = true;
        for (const Activation activation : {Activation::silu, Activation::silu_clamped, Activation::gelu_tanh}) {
            c.activation = activation;
            check(forced_backend("experts_tiles("), c, random_);
        }
        c.gate = false;
        c.activation = Activation::relu_squared;
        check(forced_backend("experts_tiles("), c, random_);
        check(forced_backend("experts_subgroup("), c, random_);
    }
}

TEST_F(Experts, MatricesAndActivationsLargerThanABinding) {
    VkBackendOptions options;
    options.validation = true;
    options.max_binding_bytes = 4096;
    auto vk = make_vk_backend(options);
    ASSERT_TRUE(vk) << vk.error().message;
    for (const uint32_t n_tokens : {3u, 26u, 90u}) {
        Case c{.n_tokens = n_tokens, .n_experts = 7, .n_used = 3, .n_in = 36, .n_ff = 20, .biases = true};
        check(**vk, c, random_);
        c.merged = true;
        check(**vk, c, random_);
    }
    expect_no_messages(**vk);
}

// Verify steps have any width: a token's result may not depend on the other tokens in its step.
TEST_F(Experts, ATokensBitsDoNotDependOnTheOthers) {
    for (VkBackend* vk : {&backend(), &forced_backend("experts_subgroup(")}) {
        const Case most{.format = Format::q4_0, .n_tokens = 24, .n_experts = 6, .n_used = 3, .n_in = 352, .n_ff = 96};
        std::vector<std::vector<float>> rows;
        for (const uint32_t n_tokens : {24u, 1u, 7u}) {
            std::mt19937 random(3);  // the first tokens are the same
            Block block(*vk, most, random);
            run_both(*vk, block.all(), [&](Ops& ops, Side side) { block.run_first(ops, side, n_tokens); });
            for (uint32_t t = 0; t < n_tokens; ++t) {
                if (n_tokens == 24) rows.push_back(block.z().device_row(t));
                EXPECT_EQ(block.z().device_row(t), rows[t]) << n_tokens << " tokens, token " << t;
            }
        }
    }
}

}  // namespace
}  // namespace atlas::test
