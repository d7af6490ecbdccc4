// attention against RefOps: every key count, token count, ratio of heads, head size, page size and format of the cache.
#include "tests/kernels/attention_case.h"

namespace atlas::test {
namespace {

class Attention : public AttentionTest {};

TEST_F(Attention, EveryKeyCountAcrossPagesAndTiles) {
    for (const bool gpu : {false, true}) {
        for (const Format kv : {Format::f32, Format::f16}) {
            const AttentionCase c{.n_head = 3, .head_dim = 64, .kv = kv, .page_tokens = 16};
            for (const uint32_t keys :
                 {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 127u, 128u, 129u, 255u, 256u, 257u, 300u}) {
                check(backend(gpu), c, one_sequence(1, keys));
            }
        }
    }
}

TEST_F(Attention, EveryTokenCountSeveralSequences) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 24u, 33u}) {
            check(backend(gpu),
                  {.n_head = 4, .n_head_kv = 4, .kv = Format::f16, .page_tokens = 16, .max_kv_tokens = 128},
                  own_sequences(n, 128));
        }
    }
}

TEST_F(Attention, OneSequenceCausal) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : {2u, 7u, 8u, 9u, 24u, 33u, 70u}) {
            check(backend(gpu), {.n_head = 6, .n_head_kv = 2, .kv = Format::f16}, one_sequence(n, 200));
            check(backend(gpu), {.n_head = 6, .n_head_kv = 2, .kv = Format::f16}, one_sequence(n, n));
        }
    }
}

TEST_F(Attention, SharedPrefixAndOwnTails) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t shared : {0u, 32u, 128u, 256u}) {
            const AttentionCase c{.n_head = 4, .n_head_kv = 2, .kv = Format::f16, .page_tokens = 16, .shared = shared};
            check(backend(gpu), c, own_sequences(9, 300, shared + 1));
            // Two tokens of each of four sequences.
            std::vector<AttentionToken> pairs;
            for (uint32_t t = 0; t < 8; ++t) pairs.push_back({t / 2, shared + 1 + t % 2 + t});
            check(backend(gpu), c, pairs);
        }
    }
}

TEST_F(Attention, EveryRatioOfHeads) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t ratio : {1u, 3u, 4u, 7u, 8u, 14u}) {
            for (const uint32_t n : {1u, 3u, 40u})
                check(backend(gpu), {.n_head = 2 * ratio, .n_head_kv = 2, .head_dim = 16}, one_sequence(n, 129));
        }
    }
}

TEST_F(Attention, EveryHeadSize) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t head_dim : {8u, 40u, 64u, 72u, 80u, 96u, 128u, 192u, 256u}) {
            for (const uint32_t n : {1u, 5u, 33u})
                check(backend(gpu), {.n_head = 3, .head_dim = head_dim, .kv = Format::f16}, one_sequence(n, 70));
        }
        for (const auto& [k, v] : {std::pair(192u, 128u), std::pair(64u, 96u), std::pair(8u, 256u)}) {
            for (const uint32_t n : {2u, 33u}) {
                check(backend(gpu), {.n_head = 2, .head_dim = k, .value_dim = v, .kv = Format::f16},
                      one_sequence(n, 70));
            }
        }
    }
}

// Heads of 512 and, in latent attention, one KV head of 576 whose first 512 elements are the values.
TEST_F(Attention, LargeHeadsAndValuesThatAreKeys) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : {1u, 33u}) {
            check(backend(gpu), {.n_head = 4, .n_head_kv = 2, .head_dim = 512, .kv = Format::f16}, one_sequence(n, 70));
            check(backend(gpu), {.n_head = 2, .head_dim = 512, .kv = Format::q8_0, .window = 40}, one_sequence(n, 70));
            for (const Format format : {Format::f16, Format::q8_0}) {
                const AttentionCase latent{
                    .n_head = 5, .head_dim = 576, .value_dim = 512, .kv = format, .values_of_keys = true};
                check(backend(gpu), latent, one_sequence(n, 70));
            }
            check(backend(gpu),
                  {.n_head = 3, .head_dim = 72, .value_dim = 64, .kv = Format::f16, .values_of_keys = true},
                  one_sequence(n, 130));
        }
    }
}

TEST_F(Attention, EveryPageSize) {
    for (const uint32_t page_tokens : {1u, 3u, 32u, 304u}) {
        check(backend(), {.n_head = 3, .page_tokens = page_tokens, .max_kv_tokens = 304}, own_sequences(3, 300));
    }
}

TEST_F(Attention, EveryFormatOfKeysAndValues) {
    for (const bool gpu : {false, true}) {
        for (const Format k : kKvFormats) {
            for (const Format v : kKvFormats) {
                if (k != v && k != Format::q8_0 && v != Format::f16)
                    continue;  // every one on each side, and with another
                const AttentionCase c{.n_head = 6,
                                      .n_head_kv = 3,
                                      .head_dim = 32,
                                      .kv = {k, v}};  // rows of three blocks: 6 bytes of scales
                for (const uint32_t n : {1u, 33u}) check(backend(gpu), c, one_sequence(n, 70));
            }
        }
    }
}

TEST_F(Attention, BlocksInHeadsOfOtherSizes) {
    for (const bool gpu : {false, true}) {
        for (const Format kv : {Format::q8_0, Format::q5_0, Format::q4_1}) {
            for (const uint32_t head_dim : {32u, 96u, 128u, 256u}) {
                for (const uint32_t n : {2u, 33u})
                    check(backend(gpu), {.n_head = 2, .head_dim = head_dim, .kv = kv}, one_sequence(n, 70));
            }
        }
    }
}

TEST_F(Attention, WindowCapAndSinks) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : {1u, 9u, 33u}) {
            for (const uint32_t window : {1u, 5u, 33u, 100u, 1000u})
                check(backend(gpu), {.n_head = 4, .window = window}, one_sequence(n, 290));
            check(backend(gpu), {.n_head = 4, .softcap = 2}, one_sequence(n, 290));
            check(backend(gpu), {.n_head = 4, .sinks = true}, one_sequence(n, 290));
            check(backend(gpu), {.n_head = 4, .sinks = true}, own_sequences(n, 30));
            check(backend(gpu), {.n_head = 6, .n_head_kv = 2, .window = 40, .softcap = 30, .sinks = true, .shared = 64},
                  own_sequences(n, 290, 65));
        }
    }
}

TEST_F(Attention, SplitsWithNoKeysLeaveNothing) {
    // Recorded for 2048 keys (16 splits), run with few: most workgroups have nothing to do.
    const AttentionCase c{.n_head = 3, .kv = Format::f16, .max_kv_tokens = 2048, .sinks = true};
    ASSERT_GT(attention_splits(1, params_of(c), 2048).n, 8u);
    for (const uint32_t keys : {1u, 33u, 500u, 2048u}) check(backend(), c, one_sequence(1, keys));
    // A window walks through its splits round-robin.
    AttentionCase windowed = c;
    windowed.window = 300;
    for (const uint32_t keys : {1u, 299u, 300u, 301u, 1000u, 2048u})
        check(backend(), windowed, one_sequence(2, std::max(2u, keys)));
}

TEST_F(Attention, LargeScoresDoNotOverflow) {
    for (const bool gpu : {false, true}) {
        const AttentionCase c{.head_dim = 8, .page_tokens = 16, .max_kv_tokens = 16};
        Operands o = make(backend(gpu), c, one_sequence(1, 16));
        // Scores of about -22600, ... : only the last key counts.
        o.k->fill([](uint32_t r, uint32_t) { return 1000.0 * (double(r % 16) - 8); });
        o.v->fill([](uint32_t r, uint32_t col) { return r * 10.0 + col; });
        o.q->fill([](uint32_t, uint32_t) { return 8; });
        run(backend(gpu), c, o);
        o.y->expect_equal("y");
    }
}

TEST_F(Attention, RandomShapes) {
    const auto any = [&](std::initializer_list<uint32_t> choices) {
        return *(choices.begin() + random_() % choices.size());
    };
    for (uint32_t i = 0; i < 12; ++i) {
        AttentionCase c{.n_head_kv = any({1, 2, 3}),
                        .head_dim = any({32, 64, 96}),
                        .page_tokens = any({16, 32}),
                        .max_kv_tokens = 32 * any({4, 17, 40})};
        c.n_head = c.n_head_kv * any({1, 2, 3, 5, 8});
        if (random_() % 2 == 0) c.value_dim = any({32, 64, 128});
        c.kv = {kKvFormats[random_() % kKvFormats.size()], kKvFormats[random_() % kKvFormats.size()]};
        c.window = any({0, 0, 31, 200});
        c.softcap = random_() % 2 == 0 ? 0.0f : 3.0f;
        c.sinks = random_() % 2 == 0;
        c.shared = c.page_tokens * any({0, 1, 4});
        std::vector<AttentionToken> tokens(any({1, 2, 7, 8, 9, 24, 33, 65}));
        for (AttentionToken& token : tokens) token = {any({0, 1, 2, 3}), 1 + uint32_t(random_() % c.max_kv_tokens)};
        check(backend(random_() % 2 == 0), c, tokens);
    }
}

}  // namespace
}  // namespace atlas::test
