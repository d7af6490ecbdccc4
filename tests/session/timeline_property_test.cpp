// After any interleaving of fork, step, verify, rewind, snapshot, restore, evict and cancel every live timeline goes on as a fresh prefill of
// its tokens would, and no page is lost.
#include "tests/reference/ref_backend.h"
#include "tests/support/interleaving.h"
#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

TEST(TimelineProperty, TenThousandInterleavings) {
    TempDir dir;
    testing::write_tiny_model(dir / "tiny.gguf", testing::smallest_shape());
    const auto backend = make_ref_backend();
    const auto batch = testing::start_batch(dir / "tiny.gguf", *backend, testing::interleaving_shape());
    testing::FreshPrefill fresh(dir / "tiny.gguf", *backend, 4 * kPageTokens, Format::f32);
    testing::Interleaving interleaving(*batch.runner, fresh, 0);  // the reference sums each row on its own: equal means equal bits
    for (uint32_t seed = 0; seed < 10000; ++seed) {
        interleaving.run(seed, 6 + seed % 24);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
    }
    EXPECT_GT(interleaving.n_probes(), 10000u);
    EXPECT_GT(interleaving.n_refused(), 1000u) << "the pool never ran full";
    EXPECT_GT(interleaving.n_reused(), 10000u) << "no prefix was found";
    EXPECT_GT(interleaving.n_restored(), 1000u);
    EXPECT_GT(batch.runner->pool().n_copied_pages(), 1000u);
}

// The same while the pool shrinks from twelve pages to six: nobody notices, but that less fits.
TEST(TimelineProperty, AndWhilePagesAreGivenBack) {
    TempDir dir;
    testing::write_tiny_model(dir / "tiny.gguf", testing::smallest_shape());
    const auto backend = make_ref_backend();
    testing::FreshPrefill fresh(dir / "tiny.gguf", *backend, 4 * kPageTokens, Format::f32);
    BatchShape shape = testing::interleaving_shape();
    shape.pool_tokens = 12 * kPageTokens;
    auto file = gguf::File::open(dir / "tiny.gguf");
    const auto model = Model::load(*file, *backend, {.n_ctx = shape.pool_tokens, .n_batch = shape.n_batch, .kv_format = shape.kv_format}).value();
    uint64_t n_probes = 0, n_given_back = 0, n_reused = 0, n_copied = 0;
    for (uint32_t seed = 0; seed < 1000; ++seed) {
        const auto runner = BatchRunner::create(model, shape).value();
        testing::Interleaving interleaving(*runner, fresh, 0);
        interleaving.gives_back = true;
        interleaving.run(20000 + seed, 60);
        ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "sequence " << seed;
        n_probes += interleaving.n_probes();
        n_given_back += interleaving.n_given_back();
        n_reused += interleaving.n_reused();
        n_copied += runner->pool().n_copied_pages();
    }
    EXPECT_GT(n_probes, 2000u);
    EXPECT_GT(n_given_back, 1000u);
    EXPECT_GT(n_reused, 1000u) << "the index was lost";
    EXPECT_GT(n_copied, 300u) << "no page had to move";
}

}  // namespace
}  // namespace atlas
