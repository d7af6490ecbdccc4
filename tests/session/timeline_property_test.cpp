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

}  // namespace
}  // namespace atlas
