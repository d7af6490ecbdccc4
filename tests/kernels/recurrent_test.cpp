// causal_conv and delta_net: several sequences in a step, repeated tokens, states that are kept, views that are parts
// of rows, and heads and widths that nothing divides.
#include <numeric>

#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

/// The tables of a step. Of each sequence its tokens, and how often the last one is repeated. Slot 0 is never written.
struct Step {
    struct Sequence {
        uint32_t n_tokens, n_repeats;
        bool keeps_all;  // states after every token; else after the last one
    };
    std::vector<uint32_t> positions, seqs, before, after;
    uint32_t n_slots = 0;

    explicit Step(const std::vector<Sequence>& sequences) {
        const auto n_sequences = static_cast<uint32_t>(sequences.size());
        n_slots = n_sequences + 1;
        for (uint32_t s = 0; s < n_sequences; ++s) {
            before.push_back(n_sequences - s);
            for (uint32_t i = 0; i < sequences[s].n_tokens; ++i) {
                const bool kept = sequences[s].keeps_all || i + 1 == sequences[s].n_tokens;
                add(s, 100 + i, kept ? n_slots++ : StateTables::kNoState);
            }
            for (uint32_t i = 0; i < sequences[s].n_repeats; ++i) add(s, positions.back(), StateTables::kNoState);
        }
    }
    uint32_t n_tokens() const { return static_cast<uint32_t>(positions.size()); }

  private:
    void add(uint32_t seq, uint32_t position, uint32_t slot) {
        seqs.push_back(seq);
        positions.push_back(position);
        after.push_back(slot);
    }
};

const Step kOne({{1, 0, true}}), kVerify({{24, 0, true}}), kPadded({{5, 3, false}}), kChunk({{70, 0, false}}),
    kMany({{1, 0, true}, {7, 0, true}, {2, 1, true}, {1, 0, false}, {9, 2, false}});

/// The tables on both sides.
class TwinTables {
  public:
    TwinTables(VkBackend& vk, const Step& step)
        : positions_(make(vk, step.positions)),
          seqs_(make(vk, step.seqs)),
          before_(make(vk, step.before)),
          after_(make(vk, step.after)) {}
    StateTables on(Side side) const {
        return {positions_->ids(side), seqs_->ids(side), before_->ids(side), after_->ids(side)};
    }
    std::vector<Twin*> with(std::vector<Twin*> others) const {
        for (const auto& twin : {positions_.get(), seqs_.get(), before_.get(), after_.get()}) others.push_back(twin);
        return others;
    }

  private:
    static std::unique_ptr<Twin> make(VkBackend& vk, const std::vector<uint32_t>& values) {
        auto twin = std::make_unique<Twin>(vk, Format::f32, 1, static_cast<uint32_t>(values.size()));
        twin->integers(values);
        return twin;
    }
    std::unique_ptr<Twin> positions_, seqs_, before_, after_;
};

class RecurrentKernels : public KernelTest {
  protected:
    /// Tokens that repeat the one before get its inputs.
    void fill(Twin& twin, const Step& step, float low = -1, float high = 1) {
        std::uniform_real_distribution<float> values(low, high);
        std::vector<float> row;
        twin.fill([&](uint32_t r, uint32_t c) {
            const bool repeats =
                r > 0 && step.seqs[r] == step.seqs[r - 1] && step.positions[r] == step.positions[r - 1];
            row.resize(std::max<size_t>(row.size(), c + 1));
            if (!repeats) row[c] = values(random_);
            return row[c];
        });
    }

    void check_conv(VkBackend& vk, const Step& step, uint32_t n, uint32_t width, bool biased, bool silu) {
        SCOPED_TRACE(fmt::format("{} tokens of {} sequences, {} columns, width {}{}{}", step.n_tokens(),
                                 step.before.size(), n, width, biased ? ", bias" : "", silu ? ", silu" : ""));
        const uint32_t n_state = (width - 1) * n;
        Twin wide(vk, Format::f32, step.n_tokens(), n + 3), w(vk, Format::f32, n, width), b(vk, Format::f32, 1, n),
            states(vk, Format::f32, step.n_slots, n_state + 6), y(vk, Format::f32, step.n_tokens(), n);
        fill(wide, step);
        for (Twin* twin : {&w, &b, &states}) twin->randomize(random_);
        const TwinTables tables(vk, step);
        run_both(vk, tables.with({&wide, &w, &b, &states, &y}), [&](Ops& ops, Side side) {
            ops.causal_conv(wide.on(side).col_range(2, n), w.on(side), biased ? b.on(side) : Tensor{}, silu,
                            tables.on(side), width > 1 ? states.on(side).col_range(1, n_state) : Tensor{}, y.on(side));
        });
        // Up to 5 terms of at most 1, each with a rounding; silu as in elementwise_test.cpp.
        y.expect_near([](uint32_t, uint32_t, double) { return kUlp * 2 * 5 * 8; }, "y");
        states.expect_equal("states");
    }

    void check_delta(VkBackend& vk, const Step& step, const DeltaNetParams& params) {
        const uint32_t d = params.head_dim, n_k = params.n_k_heads * d, n_v = params.n_v_heads * d, n_state = n_v * d,
                       n = step.n_tokens();
        SCOPED_TRACE(fmt::format("{} tokens of {} sequences, {} and {} heads of {}{}", n, step.before.size(),
                                 params.n_k_heads, params.n_v_heads, d, params.grouped ? ", grouped" : ""));
        Twin qkv(vk, Format::f32, n, 2 * n_k + n_v), alpha(vk, Format::f32, n, params.n_v_heads),
            beta(vk, Format::f32, n, params.n_v_heads), a(vk, Format::f32, 1, params.n_v_heads),
            dt_bias(vk, Format::f32, 1, params.n_v_heads), states(vk, Format::f32, step.n_slots, n_state + 6),
            y(vk, Format::f32, n, n_v);
        fill(qkv, step);
        fill(alpha, step, -4, 4);
        fill(beta, step, -4, 4);
        a.randomize(random_, -3, 0);
        dt_bias.randomize(random_);
        states.randomize(random_);
        const TwinTables tables(vk, step);
        run_both(vk, tables.with({&qkv, &alpha, &beta, &a, &dt_bias, &states, &y}), [&](Ops& ops, Side side) {
            const Tensor all = qkv.on(side);
            ops.delta_net({all.col_range(0, n_k), all.col_range(n_k, n_k), all.col_range(2 * n_k, n_v), alpha.on(side),
                           beta.on(side), a.on(side), dt_bias.on(side)},
                          params, tables.on(side), states.on(side).col_range(5, n_state), y.on(side));
        });
        // Values and states are at most about 1, keys and queries of length 1: a product over a column has a magnitude
        // of sqrt(d) at most and sqrt(d) roundings of it; decays and beta add a few dozen units. Old errors decay as
        // the state does.
        const double limit = kUlp * 2 * (d + 40);
        y.expect_near([&](uint32_t, uint32_t, double) { return limit / std::sqrt(double(d)) * 4; }, "y");
        states.expect_near([&](uint32_t, uint32_t, double) { return limit; }, "states");
    }

    void check_state_space(VkBackend& vk, const Step& step, const StateSpaceParams& params) {
        const uint32_t n_bc = params.n_groups * params.n_state, n_x = params.n_heads * params.head_dim,
                       n_state = n_x * params.n_state, n = step.n_tokens();
        SCOPED_TRACE(fmt::format("{} tokens of {} sequences, {} heads of {}, {} groups of {}", n, step.before.size(),
                                 params.n_heads, params.head_dim, params.n_groups, params.n_state));
        Twin xbc(vk, Format::f32, n, n_x + 2 * n_bc), dt(vk, Format::f32, n, params.n_heads + 3),
            a(vk, Format::f32, 1, params.n_heads), dt_bias(vk, Format::f32, 1, params.n_heads),
            d(vk, Format::f32, 1, params.n_heads), states(vk, Format::f32, step.n_slots, n_state + 6),
            y(vk, Format::f32, n, n_x);
        fill(xbc, step);
        fill(dt, step, -9, 2);
        a.randomize(random_, -3, 0);
        for (Twin* twin : {&dt_bias, &d, &states}) twin->randomize(random_);
        const TwinTables tables(vk, step);
        run_both(vk, tables.with({&xbc, &dt, &a, &dt_bias, &d, &states, &y}), [&](Ops& ops, Side side) {
            const Tensor all = xbc.on(side);
            ops.state_space({all.col_range(n_x, n_bc), all.col_range(n_x + n_bc, n_bc), all.col_range(0, n_x),
                             dt.on(side).col_range(2, params.n_heads), a.on(side), dt_bias.on(side), d.on(side)},
                            params, tables.on(side), states.on(side).col_range(5, n_state), y.on(side));
        });
        // States grow to about 5 between decays (dt up to 3 times a value of 1); a sum of n_state of their products.
        const double of_state = kUlp * 2 * 60 * 5, of_sum = of_state + kUlp * 2 * 5 * (params.n_state + 12);
        states.expect_near([&](uint32_t, uint32_t, double) { return of_state; }, "states");
        y.expect_near([&](uint32_t, uint32_t, double) { return of_sum * std::sqrt(double(params.n_state)); }, "y");
    }
};

TEST_F(RecurrentKernels, StateSpace) {
    for (const bool gpu : {false, true}) {
        for (const Step* step : {&kOne, &kVerify, &kPadded, &kChunk, &kMany})
            check_state_space(backend(gpu), *step, {.n_groups = 2, .n_heads = 4, .n_state = 32, .head_dim = 24});
        check_state_space(backend(gpu), kVerify, {.n_groups = 1, .n_heads = 3, .n_state = 128, .head_dim = 64});
        check_state_space(backend(gpu), kVerify, {.n_groups = 2, .n_heads = 2, .n_state = 20, .head_dim = 80});
        check_state_space(backend(gpu), kOne, {.n_groups = 1, .n_heads = 2, .n_state = 256, .head_dim = 8});
    }
}

TEST_F(RecurrentKernels, CausalConv) {
    for (const Step* step : {&kOne, &kVerify, &kPadded, &kChunk, &kMany}) {
        for (uint32_t width = 1; width <= 4; ++width) check_conv(backend(), *step, 67, width, width % 2 == 0, true);
    }
    check_conv(backend(), kMany, 64, 3, false, false);
    check_conv(backend(), kMany, 1, 4, true, false);
    check_conv(backend(), kMany, 3, 9, true, true);
}

TEST_F(RecurrentKernels, DeltaNetOfEveryKindOfStep) {
    for (const bool gpu : {false, true}) {
        for (const Step* step : {&kOne, &kVerify, &kPadded, &kChunk, &kMany}) {
            check_delta(backend(gpu), *step, {.n_k_heads = 2, .n_v_heads = 4, .head_dim = 32, .eps = 1e-6f});
        }
    }
}

// Heads that are whole in every part and heads that are not, shared by one head of keys, two and three.
TEST_F(RecurrentKernels, DeltaNetHeads) {
    struct Case {
        uint32_t head_dim, heads_per_key;
        bool grouped, gpu;
    };
    for (const Case& c : {Case{1, 1, false, false}, Case{20, 3, true, false}, Case{33, 2, true, true},
                          Case{128, 1, false, false}, Case{128, 3, true, true}}) {
        for (const Step* step : {&kMany, &kPadded}) {
            check_delta(backend(c.gpu), *step,
                        {.n_k_heads = 2,
                         .n_v_heads = 2 * c.heads_per_key,
                         .head_dim = c.head_dim,
                         .eps = 0.3f,
                         .grouped = c.grouped});
        }
    }
}

/// A token's bits depend neither on how many tokens its step has nor on the other sequences.
TEST_F(RecurrentKernels, StepsAreInvariant) {
    constexpr uint32_t kHeads = 2, kDim = 32, kTokens = 21, kStates = kHeads * kDim * kDim;
    for (const bool gpu : {false, true}) {
        VkBackend& vk = backend(gpu);
        const DeltaNetParams params{.n_k_heads = kHeads, .n_v_heads = kHeads, .head_dim = kDim, .eps = 1e-6f};
        Twin qkv(vk, Format::f32, kTokens, 3 * kHeads * kDim), alpha(vk, Format::f32, kTokens, kHeads),
            a(vk, Format::f32, 1, kHeads), whole(vk, Format::f32, kTokens, kHeads * kDim),
            steps(vk, Format::f32, kTokens, kHeads * kDim), states(vk, Format::f32, kTokens + 1, kStates),
            states_of_steps(vk, Format::f32, kTokens + 1, kStates);
        for (Twin* twin : {&qkv, &alpha}) twin->randomize(random_);
        a.randomize(random_, -1, 0);
        for (Twin* twin : {&states, &states_of_steps}) twin->fill([](uint32_t, uint32_t) { return 0; });
        std::vector<uint32_t> numbers(kTokens + 1);
        std::iota(numbers.begin(), numbers.end(), 0u);
        Twin ascending(vk, Format::f32, 1, kTokens + 1), zeros(vk, Format::f32, 1, kTokens);
        ascending.integers(numbers);
        zeros.integers(std::vector<uint32_t>(kTokens));
        const auto run = [&](Ops& ops, Side side, uint32_t first, uint32_t n, const Tensor& slots, const Tensor& out) {
            const auto rows = [&](const Twin& twin) { return twin.on(side).row_range(first, n); };
            const auto words = [&](const Twin& twin, uint32_t from, uint32_t count) {
                U32View view = twin.ids(side);
                view.offset_bytes += uint64_t{from} * 4;
                view.count = count;
                return view;
            };
            const Tensor all = rows(qkv);
            constexpr uint32_t kWidth = kHeads * kDim;
            ops.delta_net({all.col_range(0, kWidth), all.col_range(kWidth, kWidth), all.col_range(2 * kWidth, kWidth),
                           rows(alpha), rows(alpha), a.on(side), a.on(side)},
                          params,
                          {words(ascending, first, n), words(zeros, 0, n), words(ascending, first, 1),
                           words(ascending, first + 1, n)},
                          slots, out.row_range(first, n));
        };
        run_both(vk, {&qkv, &alpha, &a, &whole, &steps, &states, &states_of_steps, &ascending, &zeros},
                 [&](Ops& ops, Side side) {
                     run(ops, side, 0, kTokens, states.on(side), whole.on(side));
                     run(ops, side, 0, 1, states_of_steps.on(side), steps.on(side));
                     run(ops, side, 1, 10, states_of_steps.on(side), steps.on(side));
                     run(ops, side, 11, 10, states_of_steps.on(side), steps.on(side));
                 });
        for (uint32_t t = 0; t < kTokens; ++t) {
            EXPECT_EQ(whole.device_row(t), steps.device_row(t)) << t;
            EXPECT_EQ(states.device_row(t + 1), states_of_steps.device_row(t + 1)) << t;
        }
    }
}

}  // namespace
}  // namespace atlas::test
