// attention_coopmat.comp and attention_coopmat2.comp against RefOps, on devices with VK_KHR_cooperative_matrix (and,
// for the second, VK_NV_cooperative_matrix2 in full).
#include "runtime/kernels/select/attention_variant.h"
#include "tests/kernels/attention_case.h"

namespace atlas::test {
namespace {

class AttentionCoopmat : public AttentionTest {
  protected:
    void SetUp() override {
        if (!backend().caps().coopmat || !has_kernel(KernelFamily::attention_coopmat)) {
            GTEST_SKIP() << backend().describe() << ": no cooperative matrices on this device or in this build";
        }
        if (matrix_variants(shape_of({.kv = Format::f16}, 33)).empty())
            GTEST_SKIP() << backend().describe() << ": no matrices of f16 with f32 sums";
    }
    void TearDown() override {
        backend().choices().preferred.clear();
        AttentionTest::TearDown();
    }

    enum class Which { best, all };  // of each kernel; drivers take seconds to build one
    static std::vector<AttentionVariant> matrix_variants(const AttentionShape& shape, Which which = Which::best) {
        std::vector<AttentionVariant> found;
        for (const AttentionVariant& v : attention_candidates(backend().caps(), shape)) {
            const bool again = !found.empty() && found.back().family == v.family;
            const bool matrices =
                v.family == KernelFamily::attention_coopmat || v.family == KernelFamily::attention_coopmat2;
            if (matrices && (which == Which::all || !again)) found.push_back(v);
        }
        return found;
    }

    /// Queries of few bits, so that they are halves whatever power of two they are divided by: what is left of the
    /// rounding to halves is that of the weights, and of keys and values where their format has more bits than a half.
    void fill_queries(Operands& o) {
        std::uniform_int_distribution<int> steps(-96, 96);
        o.q->fill([&](uint32_t, uint32_t) { return steps(random_) / 32.0; });
    }

    static bool exact_in_halves(Format format) { return format == Format::f16 || format == Format::bf16; }

    /// Variants against RefOps. A half is off by 2^-10 of its value at most (Vulkan lets a conversion round either
    /// way), a weight by that, a score by that much of sum |q k| where keys are rounded, and a value by that where
    /// values are.
    void check_matrices(const AttentionCase& c, const std::vector<AttentionToken>& tokens, Which which = Which::best) {
        const AttentionShape shape = shape_of(c, uint32_t(tokens.size()));
        const auto variants = matrix_variants(shape, which);
        ASSERT_FALSE(variants.empty()) << c.head_dim << ":" << params_of(c).value_dim();
        for (const AttentionVariant& variant : variants) {
            SCOPED_TRACE(fmt::format(
                "{}: {} heads, {} KV, {}:{}, {} tokens, {} keys of {}, pages of {}, window {}, cap {}, sinks {}, "
                "shared {}",
                variant.name(), c.n_head, c.n_head_kv, info(c.kv.k).name, info(c.kv.v).name, tokens.size(),
                tokens.back().n_keys, c.max_kv_tokens, c.page_tokens, c.window, c.softcap, c.sinks, c.shared));
            EXPECT_LE(variant.shared_bytes, backend().caps().max_shared_bytes);
            backend().choices().preferred[tuning_key(shape)] = variant.name();
            Operands o = make(backend(), c, tokens);
            fill_queries(o);
            run(backend(), c, o);
            expect_close(c, o, tokens, 0);
        }
    }

    /// rounded_queries: how many roundings of a query there are.
    void expect_close(const AttentionCase& c, Operands& o, const std::vector<AttentionToken>& tokens,
                      int rounded_queries) {
        constexpr double kHalf = 1.0 / 1024;
        const AttentionParams p = params_of(c);
        std::vector<float> row;
        uint32_t row_is = UINT32_MAX;
        o.y->expect_near(
            [&](uint32_t t, uint32_t col, double) {
                if (row_is != t) row = read_row(o.q->on(Side::host), row_is = t);
                double score = 0;
                for (uint32_t i = 0; i < c.head_dim; ++i)
                    score += std::abs(row[col / p.value_dim() * c.head_dim + i]) * p.scale;
                const double f32 = 2 * kUlp *
                                   ((4 + std::sqrt(double(c.head_dim))) * score + 4 * c.softcap + 16 +
                                    2 * std::sqrt(double(tokens[t].n_keys)));
                const int rounded = rounded_queries + (exact_in_halves(c.kv.k) ? 0 : 1);
                return f32 + kHalf * (1 + (exact_in_halves(c.kv.v) ? 0 : 1)) +
                       2 * kHalf * rounded * score / std::sqrt(double(c.head_dim));
            },
            "y");
    }
};

TEST_F(AttentionCoopmat, EveryTokenCount) {
    for (const uint32_t n : {25u, 33u, 64u, 100u}) {
        check_matrices({.n_head = 4, .n_head_kv = 2, .kv = Format::f16}, one_sequence(n, n), Which::all);
        check_matrices({.n_head = 4, .n_head_kv = 2, .kv = Format::f16}, one_sequence(n, 311));
    }
    check_matrices({.n_head = 4, .n_head_kv = 4, .kv = Format::f16, .max_kv_tokens = 640}, one_sequence(512, 600));
}

TEST_F(AttentionCoopmat, EveryRatioOfHeads) {
    for (const uint32_t ratio : {1u, 3u, 4u, 7u, 8u}) {
        check_matrices({.n_head = 2 * ratio, .n_head_kv = 2, .head_dim = 32, .kv = Format::f16}, one_sequence(33, 129));
    }
}

TEST_F(AttentionCoopmat, EveryHeadSize) {
    for (const uint32_t head_dim : {8u, 64u, 80u, 96u, 128u, 192u, 256u}) {
        check_matrices({.n_head = 3, .head_dim = head_dim, .kv = Format::f16}, one_sequence(33, 90));
    }
    check_matrices({.n_head = 2, .head_dim = 72, .kv = Format::f16}, one_sequence(33, 90),
                   Which::all);  // no whole number of matrices
    for (const auto& [k, v] : {std::pair(64u, 96u), std::pair(72u, 24u)}) {
        check_matrices({.n_head = 2, .head_dim = k, .value_dim = v, .kv = Format::f16}, one_sequence(33, 70));
    }
}

TEST_F(AttentionCoopmat, EveryFormat) {
    for (const Format k : kKvFormats) {
        for (const Format v : kKvFormats) {
            if (k == Format::f32 || v == Format::f32) continue;
            if (k != v && k != Format::q8_0 && v != Format::f16) continue;  // every one on each side, and with another
            check_matrices({.n_head = 6, .n_head_kv = 3, .head_dim = 32, .kv = {k, v}}, one_sequence(33, 70));
        }
    }
    // Heads that begin in the middle of a block, too: half a block is read at a time.
    for (const auto& [kv, head_dim] : {std::pair(Format::q8_0, 96u), std::pair(Format::q4_0, 128u),
                                       std::pair(Format::q5_1, 48u), std::pair(Format::q8_0, 80u)}) {
        check_matrices({.n_head = 2, .head_dim = head_dim, .kv = kv}, one_sequence(33, 70));
    }
}

TEST_F(AttentionCoopmat, WindowCapAndSinks) {
    for (const uint32_t window : {1u, 5u, 33u, 100u, 1000u})
        check_matrices({.n_head = 4, .kv = Format::f16, .window = window}, one_sequence(40, 290));
    check_matrices({.n_head = 4, .kv = Format::f16, .softcap = 2}, one_sequence(40, 290));
    check_matrices({.n_head = 4, .kv = Format::f16, .sinks = true}, one_sequence(40, 290));
    check_matrices({.n_head = 4, .kv = Format::f16, .sinks = true}, one_sequence(40, 40));
    check_matrices(
        {.n_head = 6, .n_head_kv = 2, .kv = Format::q8_0, .window = 40, .softcap = 30, .sinks = true, .shared = 64},
        own_sequences(30, 290, 65));
}

TEST_F(AttentionCoopmat, SeveralSequences) {
    check_matrices({.n_head = 4, .n_head_kv = 4, .kv = Format::f16, .page_tokens = 16, .max_kv_tokens = 128},
                   own_sequences(33, 128));
    for (const uint32_t shared : {0u, 32u, 128u, 256u}) {
        const AttentionCase c{.n_head = 4, .n_head_kv = 2, .kv = Format::f16, .page_tokens = 16, .shared = shared};
        check_matrices(c, own_sequences(27, 300, shared + 1));
        std::vector<AttentionToken> sevens;
        for (uint32_t t = 0; t < 35; ++t) sevens.push_back({t / 7, shared + 1 + t});
        check_matrices(c, sevens);
    }
}

TEST_F(AttentionCoopmat, PagesAndSplits) {
    for (const uint32_t page_tokens : {1u, 3u, 304u}) {
        check_matrices(
            {.n_head = 3, .head_dim = 32, .kv = Format::f16, .page_tokens = page_tokens, .max_kv_tokens = 304},
            one_sequence(33, 300));
    }
    // Recorded for many more keys than there are: whole splits have none.
    for (const uint32_t keys : {33u, 500u, 2048u}) {
        const AttentionCase c{.n_head = 3, .kv = Format::f16, .max_kv_tokens = 2048, .sinks = true};
        ASSERT_GT(attention_splits(33, params_of(c), 2048).n, 8u);
        check_matrices(c, one_sequence(33, keys));
    }
    check_matrices({.n_head = 3, .kv = Format::f16, .max_kv_tokens = 2048, .window = 300}, one_sequence(33, 1000));
}

TEST_F(AttentionCoopmat, QueriesOfAnySize) {
    // Far beyond the largest half, far below the smallest, and anything in between: a row is divided by a power of two
    // of its own.
    for (const AttentionVariant& variant : matrix_variants(shape_of({.kv = Format::f16}, 33))) {
        const AttentionCase c{.kv = Format::f16};
        backend().choices().preferred[tuning_key(shape_of(c, 33))] = variant.name();
        Operands o = make(backend(), c, one_sequence(33, 300));
        std::uniform_real_distribution<double> values(1, 3);
        o.q->fill([&](uint32_t r, uint32_t) { return values(random_) * (r % 3 == 1 ? 1e9 : r % 3 == 2 ? 1e-9 : 1.0); });
        o.k->fill([&](uint32_t r, uint32_t col) {
            return col == 0 ? (r % 16) / 16.0 : 0.0;
        });  // many equal scores, the others far from them
        run(backend(), c, o);
        // A weight's rounding, and for rows of ordinary size that of a score of at most 3 / 8, both ways.
        o.y->expect_near([](uint32_t, uint32_t, double) { return (1 + 2 * 3.0 / 8) / 1024 + 1e-5; }, "y");
    }
}

TEST_F(AttentionCoopmat, FewTokensStayOnTheKernelOfDecode) {
    for (const uint32_t n : {1u, 2u, 8u, 24u})
        EXPECT_TRUE(matrix_variants(shape_of({.kv = Format::f16}, n)).empty()) << n;
    EXPECT_TRUE(matrix_variants(shape_of({.kv = Format::f32}, 33)).empty());
}

}  // namespace
}  // namespace atlas::test
